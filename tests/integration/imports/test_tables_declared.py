"""Resources from mapped classes, and the hooks of an application."""

import asyncio
import enum
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

import pytest
import sqlalchemy as sa
from fastapi import Header
from psycopg import AsyncConnection
from pydantic import BaseModel, Field
from sqlalchemy.dialects.postgresql import BIT
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column
from table_site import table_site

from bulkport import ConflictPolicy, Resource
from bulkport.errors import ResourceDeclarationError
from bulkport.imports.read import ImportJob
from bulkport.imports.write_options import WriteMode
from import_steps import CSV, NDJSON, imported
from table_sizes import at_both_sizes


class Base(DeclarativeBase):
    pass


class Maker(Base):
    __tablename__ = "makers"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(50))


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


class Product(Base):
    __tablename__ = "products"
    __table_args__ = (sa.UniqueConstraint("org_id", "sku"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    org_id: Mapped[int]
    sku: Mapped[str] = mapped_column(sa.String(10))
    unit_price: Mapped[Decimal] = mapped_column("price", sa.Numeric(8, 2))
    size: Mapped[Size] = mapped_column(sa.Enum(Size, native_enum=False), default="SMALL")
    tags: Mapped[list[str] | None] = mapped_column(sa.ARRAY(sa.Text))
    extra: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON)
    maker_id: Mapped[int | None] = mapped_column(sa.ForeignKey("makers.id"))
    status: Mapped[str] = mapped_column(server_default="new")
    created_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    secret: Mapped[str | None]


TABLES = """
    CREATE TABLE makers (id serial PRIMARY KEY, name varchar(50) NOT NULL);
    CREATE TABLE products (
        id serial PRIMARY KEY, org_id int NOT NULL, sku varchar(10) NOT NULL, price numeric(8, 2) NOT NULL,
        size varchar(5) NOT NULL, tags text[], extra json, maker_id int REFERENCES makers,
        status varchar NOT NULL DEFAULT 'new', created_at timestamptz NOT NULL DEFAULT now(), secret text,
        UNIQUE (org_id, sku)
    );
    INSERT INTO makers (name) VALUES ('Acme');
"""


async def _org(x_org: Annotated[int, Header()]) -> int:
    return x_org


def products(**options: Any) -> Resource:
    return Resource.of(Product, exclude=["secret"], context={"org_id": _org}, lookups={"maker_id": "name"}, **options)


def test_a_mapped_class_provides_model_references_and_key() -> None:
    resource = products(conflict=ConflictPolicy.UPDATE)
    assert (resource.name, resource.label, resource.label_field, resource.table) == (
        "products",
        "Product",
        "sku",
        "products",
    )
    assert resource.field_names == ("sku", "unit_price", "size", "tags", "extra", "maker_id", "status")
    assert resource.columns == {"unit_price": "price"}
    assert set(resource.write_key) == {"org_id", "sku"}
    (reference,) = resource.references
    assert (reference.table, reference.label, reference.lookup_field) == ("makers", "Maker", "maker")
    required = {name for name, info in resource.model.model_fields.items() if info.is_required()}
    assert required == {"sku", "unit_price"}


def test_an_unmapped_class_is_rejected() -> None:
    with pytest.raises(ResourceDeclarationError, match="not a class that SQLAlchemy"):
        Resource.of(BaseModel)
    with pytest.raises(ResourceDeclarationError, match="nope"):
        Resource.of(Product, exclude=["nope"])


def test_a_sqlmodel_class_is_a_mapped_class() -> None:
    sqlmodel = pytest.importorskip("sqlmodel")
    namespace = {
        "__annotations__": {"id": "int | None", "title": "str", "pages": "int"},
        "__module__": __name__,
        "id": sqlmodel.Field(default=None, primary_key=True),
        "title": sqlmodel.Field(max_length=20, unique=True),
        "pages": sqlmodel.Field(default=1),
    }
    book = type(sqlmodel.SQLModel)("Book", (sqlmodel.SQLModel,), namespace, table=True)
    resource = Resource.of(book)
    assert (resource.name, resource.key, resource.field_names) == ("book", ("title",), ("title", "pages"))


async def test_rows_of_a_mapped_class_are_imported(database_url: str) -> None:
    resource = products(conflict=ConflictPolicy.UPDATE)
    async with table_site(database_url, TABLES, resource) as site:
        body = (
            b'sku,unit price,size,tags,maker\nA,9.99,LARGE,"{x,y}",Acme\nB,1.005,SMALL,,\n'
            b"C,1,HUGE,,\nLONG-LONG-LONG,1,SMALL,,\nD,2,,,Nobody\n"
        )
        job, bad = await site.load(body, headers={**CSV, "x-org": "7"})
        assert (job["status"], job["created"]) == ("PartialSuccess", 1), bad
        assert {number: errors[0][0] for number, errors in bad.items()} == {
            2: "unitPrice",
            3: "size",
            4: "sku",
            5: "maker",
        }
        found = await site.rows("SELECT org_id, sku, price, size, tags, maker_id, status, secret FROM products")
        assert found == [(7, "A", Decimal("9.99"), "LARGE", ["x", "y"], 1, "new", None)]


class Lower(sa.types.TypeDecorator[str]):
    impl = sa.String(20)
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        return value and value.lower()


class Plain(sa.types.TypeDecorator[int]):
    impl = sa.Integer
    cache_ok = True


class Pet(Base):
    __tablename__ = "pets"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "pet"}  # noqa: RUF012
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    name: Mapped[str] = mapped_column(Lower, unique=True)
    age: Mapped[int | None] = mapped_column(Plain)
    grid: Mapped[list[list[int]] | None] = mapped_column(sa.ARRAY(sa.Integer, dimensions=2))
    flags: Mapped[str | None] = mapped_column(BIT(3))
    lasts: Mapped[timedelta | None]


class Dog(Pet):
    __mapper_args__ = {"polymorphic_identity": "dog"}  # noqa: RUF012
    bark: Mapped[str | None]


class Cat(Pet):
    __tablename__ = "cats"
    __mapper_args__ = {"polymorphic_identity": "cat"}  # noqa: RUF012
    id: Mapped[int] = mapped_column(sa.ForeignKey("pets.id"), primary_key=True)


Pet.length = column_property(sa.func.length(Pet.name))  # type: ignore[attr-defined]


async def test_types_and_subclasses_of_a_mapped_class_are_stored_as_mapped(database_url: str) -> None:
    with pytest.raises(ResourceDeclarationError, match="columns in pets and cats"):
        Resource.of(Cat)
    dogs, pets = Resource.of(Dog), Resource.of(Pet)
    assert (dogs.name, pets.name) == ("dog", "pets")
    tables = """
        CREATE TABLE pets (
            id serial PRIMARY KEY, kind text NOT NULL, name varchar(20) NOT NULL UNIQUE, age int, grid int[],
            flags bit(3), lasts interval, bark text
        );
    """
    async with table_site(database_url, tables, dogs, pets) as site:
        row = {"name": "REX", "bark": "wau", "age": 3, "grid": [[1, 2], [3, 4]], "flags": "101", "lasts": "P1D"}
        _, bad = await site.load([row, {"name": "b", "kind": "cat"}, {"name": "c", "age": "3"}])
        assert list(bad) == [2, 3]
        job, _ = await site.load(b"name,age\nTOM,7\n", pets, headers=CSV)
        assert job["status"] == "Completed"
        assert await site.rows("SELECT kind, name, age, grid, flags, lasts FROM pets ORDER BY id") == [
            ("dog", "rex", 3, [[1, 2], [3, 4]], "101", timedelta(days=1)),
            ("pet", "tom", 7, None, None, None),
        ]


class Item(BaseModel):
    name: str
    price: int = 1


ITEMS = "CREATE TABLE items (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE, price int)"


def items(**options: Any) -> Resource:
    return Resource(
        name="items",
        label="Item",
        label_field="name",
        model=Item,
        table="items",
        key=("name",),
        modes=tuple(WriteMode),
        **options,
    )


def _fold(row: Item) -> Item | None:
    if row.price < 0:
        raise ValueError("price must not be below zero")
    if row.name == "broken":
        raise KeyError("x")
    return row.model_copy(update={"name": row.name.lower()}) if row.name.isupper() else None


@at_both_sizes(1)
async def test_a_hook_can_change_or_reject_a_row_before_it_is_written(database_url: str, count: int) -> None:
    async with table_site(database_url, ITEMS, items(before_row=_fold)) as site:
        rows = [{"name": f"g{i}"} for i in range(count)]
        rows = [{"name": "UP"}, {"name": "cheap", "price": -1}, {"name": "broken"}, *rows]
        job, bad = await site.load(rows)
        assert job["created"] == count + 1
        assert bad == {2: [("", "price must not be below zero")], 3: [("", "the row cannot be checked: KeyError")]}
        assert await site.rows("SELECT count(*) FROM items WHERE name = 'up'") == [(1,)]


async def test_a_hook_gets_a_chunks_ids_in_its_transaction_and_the_end_once(database_url: str) -> None:
    ended: list[ImportJob] = []
    told = asyncio.Event()

    async def log(connection: AsyncConnection[Any], ids: list[str]) -> None:
        await connection.execute("INSERT INTO log SELECT unnest(%s::int[])", (ids,))

    async def finished(job: ImportJob) -> None:
        ended.append(job)
        told.set()

    tables = f"{ITEMS}; CREATE TABLE log (id int)"
    async with table_site(database_url, tables, items(after_chunk=log, on_finished=finished), chunk_bytes=200) as site:
        rows = [{"name": f"n{i}"} for i in range(40)]
        job, _ = await site.load([*rows, {"name": "bad", "price": 2**40}], query="?mode=upsert")
        assert (job["status"], job["created"]) == ("PartialSuccess", 40)
        assert await site.rows("SELECT count(*) FROM log JOIN items USING (id)") == [(40,)]
        async with asyncio.timeout(60):
            await told.wait()
        assert [(told_of.id, told_of.status) for told_of in ended] == [(job["id"], "PartialSuccess")]
        job, _ = await site.load([{"name": "n1", "price": 5}, {"name": "n2"}], query="?mode=upsert&dryRun=true")
        assert await site.rows("SELECT count(*) FROM log") == [(40,)]


async def test_session_settings_of_a_hook_do_not_leak(database_url: str) -> None:
    seen: list[str] = []

    async def careless(connection: AsyncConnection[Any], ids: list[str]) -> None:
        cursor = await connection.execute("SELECT current_setting('work_mem') || current_setting('DateStyle')")
        row = await cursor.fetchone()
        assert row is not None
        seen.append(row[0])
        await connection.execute("SET work_mem = '65MB'; SET DateStyle = 'German, DMY'; SET search_path = nowhere")

    async with table_site(database_url, ITEMS, items(after_chunk=careless), chunk_bytes=200) as site:
        for number in range(6):
            job, errors = await site.load([{"name": f"n{number}-{i}"} for i in range(40)])
            assert (job["status"], errors) == ("Completed", {})
    assert len(seen) > 12
    assert len(set(seen)) == 1, set(seen)


async def test_retried_rows_keep_their_context(database_url: str) -> None:
    async with table_site(database_url, TABLES, products()) as site:
        job, _ = await site.load([{"sku": "A", "unitPrice": "x"}], headers={**NDJSON, "x-org": "3"})
        answer = await site.api.post(
            f"/api/imports/{job['id']}/retry", content=b'{"sku":"A","unitPrice":1}\n', headers={**NDJSON, "x-org": "9"}
        )
        assert answer.status_code == 202, answer.text
        async with asyncio.timeout(60):
            while not (found := await site.rows("SELECT org_id FROM products")):
                await asyncio.sleep(0.05)
        assert found == [(3,)]


async def test_a_resource_can_have_columns_named_like_those_of_a_report(database_url: str) -> None:
    class Fault(BaseModel):
        place: Annotated[str, Field(max_length=3)]
        row: int
        error: str

    faults = Resource(name="faults", label="Fault", label_field="place", model=Fault, table="faults")
    async with table_site(database_url, "CREATE TABLE faults (place text, row int, error text)", faults) as site:
        job, _ = await site.load(b"place,row,error\nlong place,7,torn\ntop,8,bent\n", headers=CSV)
        report = (await site.api.get(f"/api/imports/{job['id']}/errors?format=csv")).text
        assert report.splitlines()[0] == "place,row,error,row,error"
        mended = report.replace("long place", "end")
        again = await imported(site.api, f"/api/imports/{job['id']}/retry", content=mended, headers=CSV)
        assert (again["status"], again["warnings"]) == ("Completed", [])
        assert await site.rows("SELECT * FROM faults ORDER BY row") == [("end", 7, "torn"), ("top", 8, "bent")]


async def test_an_export_contains_only_the_rows_of_its_context(database_url: str) -> None:
    async with table_site(database_url, TABLES, products()) as site:
        for org in ("1", "2"):
            await site.load([{"sku": f"of{org}", "unitPrice": 1}], headers={**NDJSON, "x-org": org})
        answer = await site.api.get("/api/products/export?format=ndjson", headers={"x-org": "2"})
        assert "of2" in answer.text
        assert "of1" not in answer.text
