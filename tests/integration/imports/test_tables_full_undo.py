"""An undo of a resource that says `undo="full"`: rows that the import changed or deleted come back."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql
from pydantic import BaseModel
from table_site import TableSite, table_site

from bulkport import Resource, ResourceDeclarationError
from bulkport.imports import restore
from bulkport.imports.declaration.check import check_resource
from bulkport.imports.erasure import erase_user
from bulkport.imports.resource import ConflictPolicy
from bulkport.imports.retention import ImportPruner, ImportRetention
from bulkport.imports.write_options import WriteMode
from bulkport.pools import open_pool
from import_steps import execute, fetch
from table_sizes import MANY, at_both_sizes, sizes

TABLES = """
    CREATE TABLE items (
        id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE CHECK (name <> 'bad'),
        price int CHECK (price < 1000), note text DEFAULT 'none', twice int GENERATED ALWAYS AS (price * 2) STORED
    );
    INSERT INTO items (name, price, note) SELECT 'old' || n, n, 'noted' FROM generate_series(1, 5) n;
    CREATE TABLE orders (item text REFERENCES items (name));
"""
ALL = "SELECT id, name, price, note, twice FROM items ORDER BY id"


class Item(BaseModel):
    name: str
    price: int = 1


MATCHED = Resource(
    name="items",
    label="Item",
    label_field="name",
    model=Item,
    table="items",
    key=("name",),
    modes=tuple(WriteMode),
    undo="full",
)
MERGED = replace(MATCHED, key=(), conflict=ConflictPolicy.UPDATE, conflict_key=("name",))
KEPT = "SELECT count(*)::int FROM bulkport.import_old_rows"


async def undo(site: TableSite, job: dict[str, Any]) -> dict[str, Any]:
    answer = await site.api.post(f"/api/imports/{job['id']}/undo")
    assert answer.status_code == 200, answer.text
    undone: dict[str, Any] = answer.json()["undone"]
    told = {name: undone[name] for name in ("removed", "restored", "kept", "notRestored") if undone[name]}
    assert sum(reason["rows"] for reason in undone["reasons"]) == undone["kept"] + undone["notRestored"]
    return told


CHANGES = [
    *((3, bad, resource, mode) for bad in (0, 1) for resource in (MATCHED, MERGED) for mode in ("upsert", "update")),
    pytest.param(MANY, 0, MATCHED, "upsert", marks=sizes),
    pytest.param(MANY, 0, MERGED, "update", marks=sizes),
    pytest.param(MANY, 1, MATCHED, "update", marks=sizes),
    pytest.param(MANY, 1, MERGED, "upsert", marks=sizes),
]
"""Each way, with few rows and with many: how many rows, how many of them bad, by which key, in which mode."""


@pytest.mark.parametrize(("count", "bad", "resource", "mode"), CHANGES)
async def test_changed_rows_are_restored_and_created_ones_removed(
    database_url: str, count: int, bad: int, resource: Resource, mode: str
) -> None:
    async with table_site(database_url, TABLES, resource) as site:
        more = (
            "INSERT INTO items (name, price, note) SELECT 'more' || n, n % 900, 'noted' FROM generate_series(1, {}) n"
        )
        await execute(site.url, more.format(count))
        before = await site.rows(ALL)
        rows = [{"name": f"old{i}", "price": i + 100} for i in range(1, 6)]
        rows += [{"name": f"more{i}", "price": 999} for i in range(1, count + 1)] + [{"name": "new"}]
        # One row that only the database refuses: then rows are written one by one.
        rows += [{"name": "old1", "price": 5000}] * bad
        job, _ = await site.load(rows, query=f"?mode={mode}")
        changed = count + 5
        assert (job["updated"], job["failureCount"]) == (changed, bad)
        await execute(site.url, "VACUUM (FULL, FREEZE) items")
        await execute(site.url, "VACUUM (FULL, FREEZE) bulkport.import_old_rows")
        expected = {"removed": 1} if mode == "upsert" else {}
        assert await undo(site, job) == expected | {"restored": changed}
        assert await site.rows(ALL) == before
        assert await fetch(site.url, KEPT) == [(0,)]
        assert (await site.api.post(f"/api/imports/{job['id']}/undo")).status_code == 409


async def test_rows_changed_or_deleted_by_others_since_are_reported_with_reasons(database_url: str) -> None:
    async with table_site(database_url, TABLES, MATCHED) as site:
        job, _ = await site.load([{"name": f"old{i}", "price": 50} for i in range(1, 5)], query="?mode=update")
        await execute(site.url, "UPDATE items SET note = 'mine' WHERE name = 'old1'; DELETE FROM items WHERE id = 2")
        answer = (await site.api.post(f"/api/imports/{job['id']}/undo")).json()["undone"]
        assert (answer["restored"], answer["notRestored"]) == (2, 2)
        assert sorted((reason["reason"], reason["rows"]) for reason in answer["reasons"]) == [
            ("changed since the import", 1),
            ("deleted since the import", 1),
        ]
        prices = await site.rows("SELECT name, price, note FROM items ORDER BY id")
        assert prices == [("old1", 50, "mine"), ("old3", 3, "noted"), ("old4", 4, "noted"), ("old5", 5, "noted")]


@at_both_sizes(0)
@pytest.mark.parametrize("referenced", [False, True], ids=["all go", "one is needed"])
async def test_deleted_rows_are_restored_unless_their_key_was_taken(
    database_url: str, count: int, referenced: bool
) -> None:
    async with table_site(database_url, TABLES, MATCHED) as site:
        await execute(site.url, f"INSERT INTO items (name) SELECT 'more' || n FROM generate_series(1, {count}) n")
        if referenced:
            await execute(site.url, "INSERT INTO orders VALUES ('old3')")
        before = await site.rows(ALL)
        names = [*(f"old{i}" for i in range(1, 4)), *(f"more{i}" for i in range(1, count + 1)), "nowhere"]
        job, _ = await site.load([{"name": name} for name in names], query="?mode=delete")
        assert (job["deleted"], job["failureCount"]) == (count + 3 - referenced, int(referenced))
        await execute(site.url, "INSERT INTO items (name, price) VALUES ('old1', 77)")
        answer = (await site.api.post(f"/api/imports/{job['id']}/undo")).json()["undone"]
        assert (answer["restored"], answer["notRestored"]) == (count + 2 - referenced, 1)
        assert answer["reasons"] == [{"reason": "Item with this name already exists", "rows": 1}]
        assert await site.rows(f"SELECT * FROM ({ALL}) i WHERE name <> 'old1' ORDER BY id") == before[1:]


async def test_a_row_changed_repeatedly_by_an_import_gets_its_original_values(database_url: str) -> None:
    async with table_site(database_url, TABLES, MERGED, chunk_bytes=60) as site:
        before = await site.rows(ALL)
        names = ["old1", "new", "old2", "new", "old1", "old1", "new", "old2"] * 4
        job, _ = await site.load([{"name": name, "price": 100 + i} for i, name in enumerate(names)])
        assert job["failureCount"] == 0
        assert await undo(site, job) == {"removed": 1, "restored": 2}
        assert await site.rows(ALL) == before


@pytest.mark.parametrize("rows", [1, 2500], ids=["single statement", "chunks"])
async def test_imports_can_be_undone_one_after_another_to_the_beginning(database_url: str, rows: int) -> None:
    async with table_site(database_url, TABLES, MATCHED) as site:
        states = [await site.rows(ALL)]
        jobs = []
        for mode, price in (("insert", 10), ("upsert", 20), ("update", 30), ("delete", None)):
            sent = [{"name": f"n{i}"} | ({"price": price} if price else {}) for i in range(rows)]
            sent += [{"name": "old1"} | ({"price": price} if price else {})] if mode != "insert" else []
            job, _ = await site.load(sent, query=f"?mode={mode}")
            assert job["status"] == "Completed"
            jobs.append(job)
            states.append(await site.rows(ALL))
        for job, state in zip(reversed(jobs), reversed(states[:-1]), strict=True):
            counts = await undo(site, job)
            assert counts in ({"restored": rows + 1}, {"removed": rows})
            assert await site.rows(ALL) == state


async def test_a_change_between_two_imports_stays_when_both_are_undone(database_url: str) -> None:
    async with table_site(database_url, TABLES, MATCHED) as site:
        first, _ = await site.load([{"name": "old1", "price": 10}], query="?mode=update")
        await execute(site.url, "UPDATE items SET note = 'mine' WHERE name = 'old1'")
        second, _ = await site.load([{"name": "old1", "price": 20}], query="?mode=update")
        assert await undo(site, first) == {"notRestored": 1}
        assert await undo(site, second) == {"restored": 1}
        assert await site.rows("SELECT price, note FROM items WHERE name = 'old1'") == [(10, "mine")]


async def test_values_of_every_type_are_restored(database_url: str) -> None:
    tables = """
        CREATE TYPE mood AS ENUM ('fine', 'so so');
        CREATE TYPE pair AS (a int, b text);
        CREATE DOMAIN short AS varchar(3) CHECK (VALUE <> '');
        CREATE TABLE things (
            id uuid DEFAULT gen_random_uuid(), part int DEFAULT 7, name text UNIQUE, price int,
            j json, b jsonb, a int[], t timestamptz, d date, i interval, n numeric(6,2), f float8, r float4, y bytea,
            m mood, p pair, s short, c char(5), ip inet, g tstzrange, bits bit(3), texts text[], ts tsvector,
            e text, "Quoted "" 'name'" text, PRIMARY KEY (id, part)
        );
        INSERT INTO things VALUES (
            DEFAULT, 7, 'one', 1, 'null', '{"a": [1, null]}', '[3:4]={1,2}', '-infinity', '0044-03-15 BC',
            '1 year -3 days 04:05:06.789', 'NaN', 0.1::float8 + 0.2::float8, 1e-7, '\\x00ff', 'so so', ROW(1, 'a"b,c'),
            'abc', 'ab', '::1/64', '[2020-01-01 00:00+02,)', '101', '{"a,b",NULL,"NULL"}', 'a:1 b:2', E'\t\\n''', ''
        ), (DEFAULT, 7, 'two', NULL, '{"b":1, "b":2}', 'null', NULL, now(), NULL, NULL, 1.5, 'NaN', NULL, NULL, NULL,
            NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
    """
    things = replace(MATCHED, name="things", table="things")
    everything = "SELECT whole::text FROM things whole ORDER BY name"
    async with table_site(database_url, tables, things) as site:
        async with await psycopg.AsyncConnection.connect(site.url, autocommit=True) as admin:
            await admin.execute(f'ALTER DATABASE "{admin.info.dbname}" SET datestyle = "ISO, DMY"'.encode())
            await admin.execute(f'ALTER DATABASE "{admin.info.dbname}" SET intervalstyle = "sql_standard"'.encode())
            await admin.execute(f'ALTER DATABASE "{admin.info.dbname}" SET extra_float_digits = 0'.encode())
        async with await psycopg.AsyncConnection.connect(site.url, autocommit=True) as plain:
            await plain.execute(
                "SET datestyle = 'ISO, YMD'; SET extra_float_digits = 1; SET intervalstyle = 'iso_8601'"
            )
            before = await (await plain.execute(everything)).fetchall()
            changed, _ = await site.load([{"name": n, "price": 5} for n in ("one", "two")], query="?mode=update")
            assert await (await plain.execute(everything)).fetchall() != before
            assert await undo(site, changed) == {"restored": 2}
            assert await (await plain.execute(everything)).fetchall() == before
            deleted, _ = await site.load([{"name": n} for n in ("one", "two")], query="?mode=delete")
            assert await undo(site, deleted) == {"restored": 2}
            assert await (await plain.execute(everything)).fetchall() == before


async def test_a_table_altered_since_keeps_its_new_columns(database_url: str) -> None:
    async with table_site(database_url, TABLES, MATCHED) as site:
        changed, _ = await site.load([{"name": "old1", "price": 50}], query="?mode=update")
        deleted, _ = await site.load([{"name": "old2"}], query="?mode=delete")
        await execute(
            site.url,
            "ALTER TABLE items DROP COLUMN note, ADD COLUMN colour text NOT NULL DEFAULT 'red', ADD COLUMN size int",
        )
        assert await undo(site, changed) == {"restored": 1}
        assert await undo(site, deleted) == {"restored": 1}
        found = await site.rows("SELECT name, price, colour FROM items WHERE id < 3 ORDER BY id")
        assert found == [("old1", 1, "red"), ("old2", 2, "red")]


async def test_rows_that_a_trigger_soft_deletes_are_restored(database_url: str) -> None:
    tables = f"""
        {TABLES}
        CREATE FUNCTION bury() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN UPDATE items SET note = 'deleted' WHERE id = OLD.id; RETURN NULL; END $$;
        CREATE TRIGGER bury BEFORE DELETE ON items FOR EACH ROW EXECUTE FUNCTION bury();
    """
    async with table_site(database_url, tables, MATCHED) as site:
        before = await site.rows(ALL)
        job, _ = await site.load([{"name": "old1"}], query="?mode=delete")
        assert await site.rows("SELECT note FROM items WHERE id = 1") == [("deleted",)]
        assert await undo(site, job) == {"restored": 1}
        assert await site.rows(ALL) == before


async def test_rows_that_reference_each_other_and_moved_keys_are_restored(database_url: str) -> None:
    tables = """
        CREATE TABLE nodes (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, name text UNIQUE, code text UNIQUE,
                            parent text REFERENCES nodes (name));
        INSERT INTO nodes (name, code) VALUES ('a', 'x'), ('b', 'y');
    """

    class Node(BaseModel):
        name: str
        code: str
        parent: str | None = None

    nodes = replace(MATCHED, name="nodes", label="Node", model=Node, table="nodes")
    everything = "SELECT id, name, code, parent FROM nodes ORDER BY id"
    async with table_site(database_url, tables, nodes) as site:
        before = await site.rows(everything)
        # `c` takes the code that `a` had, and `a` refers to `c`.
        first, _ = await site.load([{"name": "a", "code": "z"}], query="?mode=upsert")
        rows = [{"name": "c", "code": "x"}, {"name": "a", "code": "zz", "parent": "c"}]
        second, bad = await site.load(rows, query="?mode=upsert")
        assert not bad
        assert await undo(site, second) == {"removed": 1, "restored": 1}
        assert await undo(site, first) == {"restored": 1}
        assert await site.rows(everything) == before


async def test_rolling_back_a_cancelled_import_restores_old_values(database_url: str) -> None:
    async with table_site(database_url, TABLES, MATCHED, chunk_bytes=60) as site:
        before = await site.rows(ALL)
        holder = await psycopg.AsyncConnection.connect(site.url)
        await holder.execute("SELECT FROM items WHERE name IN ('old2', 'old3', 'old4') FOR UPDATE")
        rows = [{"name": f"old{i}", "price": 100} for i in range(1, 6)]
        answer = await site.api.post(
            "/api/items/bulk?mode=update",
            json=None,
            content=b"".join(f'{{"name": "{row["name"]}", "price": {row["price"]}}}\n'.encode() for row in rows),
            headers={"content-type": "application/x-ndjson"},
        )
        job_id = answer.json()["id"]
        async with asyncio.timeout(60):
            while not (await site.rows("SELECT FROM items WHERE price = 100")):
                await asyncio.sleep(0.02)
        await site.api.delete(f"/api/imports/{job_id}?rollback=true", timeout=60)
        await holder.rollback()
        await holder.close()
        async with asyncio.timeout(60):
            while (job := (await site.api.get(f"/api/imports/{job_id}")).json())["status"] != "Cancelled":
                await asyncio.sleep(0.02)
        assert job["undone"]["restored"] == job["updated"] > 0
        assert (job["undone"]["notRestored"], await site.rows(ALL)) == (0, before)


async def test_a_row_changed_while_the_undo_waits_for_it_stays(database_url: str) -> None:
    async with table_site(database_url, TABLES, MATCHED) as site:
        job, _ = await site.load([{"name": "old1", "price": 50}, {"name": "old2", "price": 50}], query="?mode=update")
        async with await psycopg.AsyncConnection.connect(site.url) as other:
            await other.execute("UPDATE items SET note = 'mine' WHERE name = 'old1'")
            undoing = asyncio.create_task(undo(site, job))
            async with asyncio.timeout(60):
                while not (await site.rows("SELECT FROM pg_locks WHERE NOT granted")):
                    await asyncio.sleep(0.02)
            await other.commit()
        assert await undoing == {"restored": 1, "notRestored": 1}
        rows = await site.rows("SELECT price, note FROM items WHERE id < 3 ORDER BY id")
        assert rows == [(50, "mine"), (2, "noted")]


async def test_a_created_row_changed_while_the_undo_waits_for_it_stays(database_url: str) -> None:
    async with table_site(database_url, TABLES, MATCHED) as site:
        job, _ = await site.load([{"name": "new1"}, {"name": "new2"}])
        async with await psycopg.AsyncConnection.connect(site.url) as other:
            await other.execute("UPDATE items SET note = 'mine' WHERE name = 'new1'")
            undoing = asyncio.create_task(undo(site, job))
            async with asyncio.timeout(60):
                while not (await site.rows("SELECT FROM pg_locks WHERE NOT granted")):
                    await asyncio.sleep(0.02)
            await other.commit()
        assert await undoing == {"removed": 1, "kept": 1}
        assert await site.rows("SELECT name FROM items WHERE name LIKE 'new%'") == [("new1",)]


async def test_two_concurrent_upserts_of_a_new_key_create_it_and_change_it(database_url: str) -> None:
    async with table_site(database_url, TABLES, MERGED) as site:
        async with await psycopg.AsyncConnection.connect(site.url) as other:
            await other.execute("INSERT INTO items (name, price) VALUES ('new', 1)")
            loading = asyncio.create_task(site.load([{"name": "new", "price": 2}]))
            async with asyncio.timeout(60):
                while not (await site.rows("SELECT FROM pg_locks WHERE NOT granted")):
                    await asyncio.sleep(0.02)
            await other.commit()
        job, bad = await loading
        assert (job["updated"], job["created"], bad) == (1, 0, {})
        assert await undo(site, job) == {"restored": 1}
        assert await site.rows("SELECT price FROM items WHERE name = 'new'") == [(1,)]


async def test_nothing_is_recorded_unless_requested(database_url: str) -> None:
    async with table_site(database_url, TABLES, replace(MATCHED, undo="created")) as site:
        job, _ = await site.load([{"name": "old1", "price": 50}], query="?mode=upsert")
        assert await fetch(site.url, KEPT) == [(0,)]
        answer = (await site.api.post(f"/api/imports/{job['id']}/undo")).json()["undone"]
        assert (answer["notRestored"], answer["reasons"]) == (1, [{"reason": "no old values were stored", "rows": 1}])
    async with table_site(database_url, "SELECT", MATCHED) as site:
        await site.load([{"name": "old1", "price": 60}], query="?mode=upsert&dryRun=true")
        await site.load([{"name": "old1", "price": 50}], query="?mode=upsert")  # which changes nothing
        assert await fetch(site.url, KEPT) == [(0,)]


async def test_old_rows_count_towards_quotas_and_are_removed_with_their_import(database_url: str) -> None:
    async with table_site(database_url, TABLES, MATCHED) as site:
        for price in (50, 60):
            await site.load([{"name": "old1", "price": price}], query="?mode=upsert")
        assert await fetch(
            site.url, f"{KEPT} UNION ALL SELECT count(*) FROM bulkport.bulk_import_jobs WHERE report_bytes > 50"
        ) == [(2,), (2,)]
        await execute(
            site.url, "UPDATE bulkport.bulk_import_jobs SET completed_at = now() - interval '9 days' WHERE id = 1"
        )
        async with open_pool(site.url, name="pruner", most=2) as pool:
            await ImportPruner(pool, ImportRetention(timedelta(days=1))).prune()
            assert await fetch(site.url, KEPT) == [(1,)]
            await erase_user(pool, "sam")
        assert await fetch(site.url, KEPT) == [(0,)]


async def test_a_dump_restored_in_one_transaction_leaves_nothing_to_undo(database_url: str) -> None:
    async with table_site(database_url, TABLES, MATCHED) as site:
        created, _ = await site.load([{"name": "new"}])
        changed, _ = await site.load([{"name": "old1", "price": 50}], query="?mode=update")
        # All rows get one number, as they do then.
        await execute(
            site.url,
            "BEGIN; UPDATE items SET note = note; UPDATE bulkport.migrations SET applied_at = applied_at; "
            "UPDATE bulkport.import_writes SET job_id = job_id; UPDATE bulkport.import_old_rows SET job_id = job_id; "
            "UPDATE bulkport.import_chunks SET job_id = job_id; COMMIT",
        )
        before = await site.rows(ALL)
        assert await undo(site, created) == {"kept": 1}
        assert await undo(site, changed) == {"notRestored": 1}
        assert await site.rows(ALL) == before


async def test_after_transaction_id_reuse_nothing_is_restored(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with table_site(database_url, TABLES, MATCHED) as site:
        job, _ = await site.load([{"name": "old1", "price": 50}], query="?mode=update")
        # A cluster that grows so old is not to be had in a test; the bound is moved instead.
        monkeypatch.setattr(restore, "_PLAN", sql.SQL(restore._PLAN.as_string().replace(">= 4294967296", ">= 0")))
        answer = (await site.api.post(f"/api/imports/{job['id']}/undo")).json()["undone"]
        assert (answer["restored"], answer["notRestored"]) == (0, 1)
        assert "too many transactions" in answer["reasons"][0]["reason"]


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("CREATE TABLE items (name text UNIQUE, price int)", "has no primary key"),
        ("CREATE TABLE items (name text UNIQUE, price int PRIMARY KEY)", "imports change the primary key"),
        (
            "CREATE TABLE base (name text UNIQUE, price int); CREATE VIEW items AS SELECT * FROM base",
            "not a plain table",
        ),
    ],
)
async def test_a_table_that_cannot_record_old_rows_is_reported_before_the_first_import(
    database_url: str, table: str, says: str
) -> None:
    await execute(database_url, table)
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        assert any(says in str(mistake) for mistake in await check_resource(connection, MATCHED))


def test_only_full_and_created_are_accepted() -> None:
    with pytest.raises(ResourceDeclarationError, match="undo is created or full"):
        replace(MATCHED, undo="all")  # type: ignore[arg-type]
