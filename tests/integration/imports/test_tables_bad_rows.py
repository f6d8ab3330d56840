"""One bad row is one bad row, whatever the table is like and whatever code PostgreSQL gives it.

Each case is loaded as a handful of rows and as thousands: what becomes of a row does not depend on how many there are.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as member
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from pydantic import BaseModel
from table_site import table_site

from bulkport import ConflictPolicy, Resource
from bulkport.imports.process import AttemptPolicy
from import_steps import CSV, execute
from table_sizes import MANY, at_both_sizes


class Item(BaseModel):
    name: str
    price: int = 1


@dataclass(frozen=True)
class Case:
    """A table, a row that it rejects, and the message about that row."""

    tables: str
    bad: Mapping[str, Any]
    message: str
    field: str = ""
    options: Mapping[str, Any] = member(default_factory=dict)

    def resource(self) -> Resource:
        return Resource(
            name="items", label="Item", label_field="name", model=Item, **{"table": "items", **self.options}
        )


def _trigger(body: str, declare: str = "") -> str:
    return f"""
        CREATE TABLE items (name text, price integer);
        CREATE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS $$
        {declare} BEGIN {body} RETURN NEW; END $$;
        CREATE TRIGGER judge BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION judge();
    """


CASES = {
    "a trigger with a code of its own": Case(
        _trigger("IF NEW.price < 0 THEN RAISE 'budget of % is used up', NEW.name USING ERRCODE = 'BU001'; END IF;"),
        {"name": "bad", "price": -1},
        "budget of bad is used up",
    ),
    "a trigger with a code of missing rights": Case(
        _trigger("IF NEW.price < 0 THEN RAISE 'you may not' USING ERRCODE = '42501'; END IF;"),
        {"name": "bad", "price": -1},
        "you may not",
    ),
    "an assertion": Case(
        _trigger("ASSERT NEW.price > 0, 'price must be above 0';"),
        {"name": "bad", "price": -1},
        "price must be above 0",
    ),
    "a strict look-up": Case(
        f"CREATE TABLE known (name text); INSERT INTO known SELECT 'g' || i FROM generate_series(0, {MANY}) i;"
        "CREATE INDEX ON known (name);"
        + _trigger("SELECT name INTO STRICT found FROM known k WHERE k.name = NEW.name;", "DECLARE found text;"),
        {"name": "bad"},
        "query returned no rows",
    ),
    "a trigger that fails in another table": Case(
        "CREATE TABLE log (name text CONSTRAINT log_name_key UNIQUE); INSERT INTO log VALUES ('bad');"
        + _trigger("INSERT INTO log VALUES (NEW.name);"),
        {"name": "bad"},
        'duplicate key value violates unique constraint "log_name_key" (Key (name)=(bad) already exists.)',
    ),
    "a view with a check option": Case(
        "CREATE TABLE goods (name text, price integer);"
        "CREATE VIEW items AS SELECT name, price FROM goods WHERE price < 100 WITH CHECK OPTION;",
        {"name": "bad", "price": 100},
        'new row violates check option for view "items"',
    ),
    "a partition that is not there": Case(
        "CREATE TABLE items (name text, price integer) PARTITION BY LIST (price);"
        "CREATE TABLE items_1 PARTITION OF items FOR VALUES IN (1);",
        {"name": "bad", "price": 7},
        "no partition for price = 7",
        "price",
    ),
    "a key that a trigger makes equal": Case(
        "CREATE TABLE items (name text CONSTRAINT items_key UNIQUE, price integer);"
        "INSERT INTO items VALUES ('bad', 1);"
        "CREATE FUNCTION fold() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN NEW.name = lower(NEW.name); RETURN NEW; END $$;"
        "CREATE TRIGGER fold BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION fold();",
        {"name": "BAD"},
        "Item with this name already exists",
        "name",
    ),
    "a key compared without case": Case(
        "CREATE TABLE items (name text, price integer); CREATE UNIQUE INDEX ON items (lower(name));"
        "INSERT INTO items VALUES ('bad', 1);",
        {"name": "Bad"},
        "name 'Bad' is already taken (compared without case)",
        "name",
    ),
    "an exclusion constraint": Case(
        "CREATE TABLE items (name text, price integer, EXCLUDE USING btree (name WITH =));"
        "INSERT INTO items VALUES ('bad');",
        {"name": "bad"},
        "name 'bad' conflicts with another row: items_name_excl allows no two such rows",
        "name",
    ),
    "a column out of range": Case(
        "CREATE TABLE items (name text, price smallint);",
        {"name": "bad", "price": 40_000},
        "price is out of range: 40000; the column takes -32768 to 32767",
        "price",
    ),
    "a rule on several columns": Case(
        "CREATE TABLE items (name text, price integer, CONSTRAINT fits CHECK (price > 0 OR name <> 'bad'))",
        {"name": "bad", "price": -1},
        "name 'bad' and price -1 break the rule fits: price > 0 OR name <> 'bad'::text",
    ),
    "a foreign key": Case(
        "CREATE TABLE kinds (id integer PRIMARY KEY); INSERT INTO kinds VALUES (1);"
        "CREATE TABLE items (name text, price integer REFERENCES kinds)",
        {"name": "bad", "price": 5},
        "price refers to something that does not exist: 5",
        "price",
    ),
    "a foreign key of several columns that matches whole or not at all": Case(
        "CREATE TABLE kinds (name text, price integer, PRIMARY KEY (name, price));"
        f"INSERT INTO kinds SELECT 'g' || i, 1 FROM generate_series(0, {MANY}) i;"
        "CREATE TABLE items (name text, price integer, FOREIGN KEY (name, price) REFERENCES kinds)",
        {"name": "bad", "price": 5},
        "name and price refer to something that does not exist: 'bad', 5",
        "name",
    ),
    "a view whose rule writes to a table": Case(
        "CREATE TABLE goods (name text, price integer CONSTRAINT is_price CHECK (price > 0));"
        "CREATE VIEW items AS SELECT * FROM goods;"
        "CREATE RULE write AS ON INSERT TO items DO INSTEAD INSERT INTO goods VALUES (NEW.name, NEW.price);",
        {"name": "bad", "price": -1},
        "price -1 breaks the rule is_price: price > 0",
        "price",
    ),
    "a domain": Case(
        "CREATE DOMAIN positive AS integer CONSTRAINT is_positive CHECK (VALUE > 0);"
        "CREATE DOMAIN small AS positive CHECK (VALUE < 1000000); CREATE TABLE items (name text, price small);",
        {"name": "bad", "price": -1},
        "price -1 breaks the rule is_positive: VALUE > 0",
        "price",
    ),
    "a key whose domain does not take it": Case(
        "CREATE DOMAIN word AS text CONSTRAINT is_word CHECK (VALUE ~ '^[a-z0-9]+$');"
        "CREATE TABLE items (name word PRIMARY KEY, price integer);",
        {"name": "BAD"},
        "name 'BAD' breaks the rule is_word: VALUE ~ '^[a-z0-9]+$'::text",
        "name",
    ),
    "reserved and mixed-case names in another schema": Case(
        'CREATE SCHEMA "Shop";'
        'CREATE TABLE "Shop"."Order" ("user" text, "Unit Price" integer CHECK ("Unit Price" > 0));',
        {"name": "bad", "price": -1},
        'price -1 breaks the rule Order_Unit Price_check: "Unit Price" > 0',
        "price",
        options={"table": "Shop.Order", "columns": {"name": "user", "price": "Unit Price"}},
    ),
}


def _good(count: int) -> list[dict[str, Any]]:
    return [{"name": f"g{i}"} for i in range(count)]


@at_both_sizes(2)
@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
async def test_one_bad_row_is_reported_and_all_others_are_written(database_url: str, case: Case, count: int) -> None:
    async with table_site(database_url, case.tables, case.resource()) as site:
        rows = _good(count)
        rows.insert(count // 2, dict(case.bad))
        job, bad = await site.load(rows)
        assert (job["status"], job["successCount"], job["failureCount"]) == ("PartialSuccess", count, 1)
        assert bad == {count // 2 + 1: [(case.field, case.message)]}
        assert job["created"] == count
        job, bad = await site.load([case.bad])
        assert (job["status"], job["attempts"]) == ("Failed", 1)
        assert bad == {1: [(case.field, case.message)]}


async def test_a_row_is_blamed_for_a_fault_that_persists_to_the_third_attempt(database_url: str) -> None:
    tables = _trigger("IF NEW.price < 0 THEN RAISE 'no space' USING ERRCODE = '53100'; END IF;")
    worker = {"attempts": AttemptPolicy(max_attempts=5, base_seconds=0.01)}
    async with table_site(database_url, tables, CASES["an assertion"].resource(), worker=worker) as site:
        job, bad = await site.load([*_good(3), {"name": "bad", "price": -1}])
        assert (job["status"], job["attempts"], job["created"]) == ("PartialSuccess", 3, 3)
        assert bad == {4: [("", "no space")]}
        job, bad = await site.load([{"name": "bad", "price": -1}])
        assert (job["status"], job["errorSummary"], bad) == ("Failed", "Fatal error: no space", {})


@pytest.mark.parametrize("code", ["40001", "40P01", "08006", "57P01"])
async def test_a_trigger_error_about_conflicts_or_connections_is_finally_a_row_error(
    database_url: str, code: str
) -> None:
    tables = _trigger(f"IF NEW.price < 0 THEN RAISE 'try again' USING ERRCODE = '{code}'; END IF;")
    worker = {"attempts": AttemptPolicy(max_attempts=2, base_seconds=0.01)}
    async with table_site(database_url, tables, CASES["an assertion"].resource(), worker=worker) as site:
        job, bad = await site.load([*_good(3), {"name": "bad", "price": -1}])
        assert (job["status"], job["attempts"], job["created"]) == ("PartialSuccess", 2, 3)
        assert bad == {4: [("", "try again")]}


@at_both_sizes(2)
async def test_rows_dropped_by_a_trigger_are_skipped(database_url: str, count: int) -> None:
    tables = _trigger("IF NEW.price < 0 THEN RETURN NULL; END IF;")
    async with table_site(database_url, tables, CASES["an assertion"].resource()) as site:
        job, bad = await site.load([*_good(count), {"name": "out", "price": -1}])
        assert (job["status"], job["successCount"], job["skipped"], job["created"]) == ("Completed", count, 1, count)
        assert job["warnings"] == [
            "1 row was skipped by the database: a trigger or rule of the table left them out without an error"
        ]
        assert not bad
        assert await site.rows("SELECT count(*) FROM items") == [(count,)]


@at_both_sizes(2)
async def test_rows_dropped_by_a_trigger_are_skipped_under_update(database_url: str, count: int) -> None:
    tables = """
        CREATE TABLE items (name text PRIMARY KEY, price integer); INSERT INTO items VALUES ('same', 5), ('other', 6);
        CREATE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.price < 0 THEN RETURN NULL; END IF;
            IF NEW.price = 99 THEN RAISE 'too dear'; END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER judge BEFORE INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION judge();
    """
    options = {"conflict": ConflictPolicy.UPDATE, "conflict_key": ("name",)}
    async with table_site(database_url, tables, Case("", {}, "", options=options).resource()) as site:
        rows = [{"name": "out", "price": -1}, {"name": "same", "price": 5}, {"name": "other", "price": 7}]
        job, bad = await site.load([*_good(count), *rows])
        outcomes = [job[name] for name in ("status", "created", "updated", "unchanged", "skipped")]
        assert outcomes == ["Completed", count, 1, 1, 1]
        assert len(job["warnings"]) == 1
        assert not bad
        rows.append({"name": "bad", "price": 99})
        job, bad = await site.load([{"name": f"h{i}"} for i in range(count)] + rows)
        outcomes = [job[name] for name in ("status", "created", "updated", "unchanged", "skipped")]
        assert outcomes == ["PartialSuccess", count, 0, 2, 1]
        assert list(bad) == [count + 4]


@at_both_sizes(0)
async def test_a_trigger_can_drop_only_changes(database_url: str, count: int) -> None:
    tables = """
        CREATE TABLE items (name text PRIMARY KEY, price integer); INSERT INTO items VALUES ('kept', 5);
        CREATE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.price < 0 THEN RETURN NULL; END IF; RETURN NEW;
        END $$;
        CREATE TRIGGER judge BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION judge();
    """
    options = {"conflict": ConflictPolicy.UPDATE, "conflict_key": ("name",)}
    async with table_site(database_url, tables, Case("", {}, "", options=options).resource()) as site:
        job, bad = await site.load([*_good(count), {"name": "kept", "price": -1}])
        assert [job[name] for name in ("status", "created", "skipped", "unchanged")] == ["Completed", count, 1, 0]
        assert not bad


@at_both_sizes(0)
async def test_the_first_row_wins_if_a_trigger_makes_rows_equal_under_skip(database_url: str, count: int) -> None:
    case = EQUAL["a trigger"]
    options: dict[str, Any] = {"conflict": ConflictPolicy.SKIP, "conflict_key": ("name",)}
    async with table_site(database_url, case.tables, Case("", {}, "", options=options).resource()) as site:
        job, bad = await site.load([{"name": "b", "price": 1}, *_good(count), {"name": "B", "price": 2}])
        assert (job["created"], job["skipped"], bad) == (count + 1, 1, {})
        assert await site.rows("SELECT price FROM items WHERE name = 'b'") == [(1,)]


@at_both_sizes(2)
@pytest.mark.parametrize("policy", [ConflictPolicy.SKIP, ConflictPolicy.UPDATE])
@pytest.mark.parametrize("kind", ["partitions", "view", "rule", "rules"])
async def test_keys_of_partitioned_tables_and_views_are_enforced(
    database_url: str, kind: str, policy: ConflictPolicy, count: int
) -> None:
    tables = {
        "partitions": "CREATE TABLE items (name text PRIMARY KEY, price integer CHECK (price > 0))"
        "PARTITION BY HASH (name);"
        "CREATE TABLE one PARTITION OF items FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
        "CREATE TABLE two PARTITION OF items FOR VALUES WITH (MODULUS 2, REMAINDER 1);",
        "view": "CREATE TABLE goods (name text PRIMARY KEY, price integer);"
        "CREATE VIEW items AS SELECT * FROM goods WHERE price > 0 OR price IS NULL WITH CHECK OPTION;",
        "rule": "CREATE TABLE items (name text PRIMARY KEY, price integer CHECK (price > 0));"
        "CREATE TABLE log (name text);"
        "CREATE RULE log AS ON INSERT TO items DO ALSO INSERT INTO log VALUES (NEW.name);",
        "rules": "CREATE TABLE goods (name text PRIMARY KEY, price integer CHECK (price > 0));"
        "CREATE VIEW items AS SELECT * FROM goods;"
        "CREATE RULE a AS ON INSERT TO items DO INSTEAD INSERT INTO goods VALUES (NEW.name, NEW.price);"
        "CREATE RULE b AS ON UPDATE TO items DO INSTEAD UPDATE goods SET price = NEW.price WHERE name = OLD.name;",
    }[kind]
    options = {"conflict": policy, "conflict_key": ("name",)}
    async with table_site(
        database_url, f"{tables} INSERT INTO items VALUES ('a', 1)", Case("", {}, "", options=options).resource()
    ) as site:
        job, bad = await site.load([{"name": "a", "price": 2}, *_good(count), {"name": "bad", "price": -1}])
        changed = policy is ConflictPolicy.UPDATE
        outcomes = [job[name] for name in ("status", "created", "updated", "skipped")]
        assert outcomes == ["PartialSuccess", count, int(changed), int(not changed)]
        assert list(bad) == [count + 2]
        assert await site.rows("SELECT price FROM items WHERE name = 'a'") == [(2 if changed else 1,)]


@at_both_sizes(2)
async def test_row_level_security_rejects_rows_not_imports(database_url: str, count: int) -> None:
    tables = """
        CREATE ROLE importer LOGIN; GRANT USAGE ON SCHEMA public, bulkport TO importer;
        GRANT ALL ON ALL TABLES IN SCHEMA bulkport TO importer;
        GRANT ALL ON ALL SEQUENCES IN SCHEMA bulkport TO importer;
        GRANT ALL ON ALL TABLES IN SCHEMA public TO importer;
        GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO importer;
        CREATE TABLE items (name text UNIQUE, price integer); ALTER TABLE items ENABLE ROW LEVEL SECURITY;
        CREATE POLICY cheap ON items FOR INSERT WITH CHECK (price < 100);
        GRANT INSERT ON items TO importer;
    """
    parts = urlsplit(database_url)
    worker_url = urlunsplit(parts._replace(netloc=f"importer@{parts.netloc.rpartition('@')[2]}"))
    try:
        async with table_site(database_url, tables, CASES["an assertion"].resource(), worker_url=worker_url) as site:
            rows = [*_good(count), {"name": "dear", "price": 100}]
            job, bad = await site.load(rows)
            assert (job["status"], job["successCount"]) == ("PartialSuccess", count)
            assert bad == {count + 1: [("", 'new row violates row-level security policy for table "items"')]}
            job, bad = await site.load([{"name": "dearer", "price": 101}])
            assert (job["status"], len(bad)) == ("Failed", 1)
    finally:
        await execute(database_url, "DROP OWNED BY importer; DROP ROLE importer")


async def test_nulls_in_arrays_never_become_text(database_url: str) -> None:
    class Tagged(BaseModel):
        name: str
        tags: list[str | None]

    tagged = Resource(name="items", label="Item", label_field="name", model=Tagged, table="items")
    name = urlsplit(database_url).path.removeprefix("/")
    await execute(database_url, f'ALTER DATABASE "{name}" SET array_nulls = off')
    async with table_site(database_url, "CREATE TABLE items (name text, tags text[])", tagged) as site:
        job, _ = await site.load([{"name": "a", "tags": ["x", None, "NULL"]}])
        assert "array_nulls is off" in job["errorSummary"]
        assert await site.rows("SELECT * FROM items") == []


@pytest.mark.parametrize(
    ("tables", "options", "message"),
    [
        ("CREATE TABLE other ()", {}, "table items does not exist"),
        ("CREATE TABLE items (name text, price int GENERATED ALWAYS AS (1) STORED)", {}, "generated column"),
        ("CREATE TABLE items (name text, price int GENERATED ALWAYS AS IDENTITY)", {}, "GENERATED ALWAYS AS IDENTITY"),
        ("CREATE TABLE items (name text, price int, owner_id int NOT NULL)", {}, "owner_id must not be null"),
        (
            "CREATE TABLE items (name text, price int)",
            {"conflict": ConflictPolicy.UPDATE, "conflict_key": ("name",)},
            "no unique index",
        ),
        (
            "CREATE TABLE items (name text, price int); CREATE UNIQUE INDEX ON items (name) WHERE price > 0",
            {"conflict": ConflictPolicy.UPDATE, "conflict_key": ("name",)},
            "conflict_where='(price > 0)'",
        ),
        (
            "CREATE TABLE items (name text UNIQUE DEFERRABLE, price int)",
            {"conflict": ConflictPolicy.UPDATE, "conflict_key": ("name",)},
            "is DEFERRABLE",
        ),
        (_trigger("INSERT INTO no_such_table VALUES (1);"), {}, "no_such_table"),
    ],
)
async def test_a_faulty_declaration_fails_the_import_at_once(
    database_url: str, tables: str, options: Mapping[str, Any], message: str
) -> None:
    async with table_site(database_url, tables, Case("", {}, "", options=options).resource()) as site:
        started = time.monotonic()
        job, bad = await site.load(_good(3))
        assert (job["status"], job["attempts"]) == ("Failed", job["attempts"])
        assert message in job["errorSummary"], job
        assert job["errorSummary"].startswith("Fatal error: "), job
        assert not bad
        assert time.monotonic() - started < 60


class Contact(BaseModel):
    email: str
    note: str | None = None


@pytest.mark.parametrize("policy", list(ConflictPolicy))
async def test_thousands_of_bad_rows_are_found_in_seconds(database_url: str, policy: ConflictPolicy) -> None:
    key: dict[str, Any] = {} if policy is ConflictPolicy.REJECT else {"conflict": policy, "conflict_key": ("email",)}
    contacts = Resource(name="contacts", label="Contact", label_field="email", model=Contact, table="contacts", **key)
    tables = "CREATE TABLE contacts (email text PRIMARY KEY CONSTRAINT has_at CHECK (email LIKE '%@%'), note text)"
    async with table_site(database_url, tables, contacts) as site:
        rows = [{"email": f"{i}@x.org" if i % 2 else f"{i}"} for i in range(6000)]
        started = time.monotonic()
        job, bad = await site.load(rows)
        assert time.monotonic() - started < 60  # alone it takes less than 3
        assert (job["successCount"], job["failureCount"], len(bad)) == (3000, 3000, 3000)
        assert bad[1] == [("email", "email 0 breaks the rule has_at: email ~~ '%@%'::text")]


def _prices(rows: Sequence[tuple[Any, ...]]) -> dict[str, Any]:
    return dict(rows)


@dataclass(frozen=True)
class EqualKeys:
    """A table in which keys that differ in a file are one."""

    tables: str
    rows: Sequence[Mapping[str, Any]]
    stored: Sequence[tuple[Any, ...]]
    options: Mapping[str, Any] = member(default_factory=dict)


class Rate(BaseModel):
    name: str | None = None
    price: Decimal = Decimal(1)


EQUAL = {
    "a trigger": EqualKeys(
        "CREATE TABLE items (name text PRIMARY KEY, price numeric);"
        "CREATE FUNCTION fold() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN NEW.name = lower(NEW.name); RETURN NEW; END $$;"
        "CREATE TRIGGER fold BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION fold();",
        [{"name": "A", "price": "1"}, {"name": "a", "price": "2"}],
        [("a", Decimal(2))],
    ),
    "nulls that are not distinct": EqualKeys(
        "CREATE TABLE items (name text UNIQUE NULLS NOT DISTINCT, price numeric)",
        [{"price": "1"}, {"price": "2"}],
        [(None, Decimal(2))],
    ),
    "an expression": EqualKeys(
        "CREATE TABLE items (name text, price numeric); CREATE UNIQUE INDEX ON items (lower(name))",
        [{"name": "A", "price": "1"}, {"name": "a", "price": "2"}],
        [("a", Decimal(2))],
        {"conflict_key": ("lower(name)",)},
    ),
    "a partial index": EqualKeys(
        "CREATE TABLE items (name text, price numeric); CREATE UNIQUE INDEX ON items (name) WHERE price > 0",
        [{"name": "a", "price": "1"}, {"name": "a", "price": "2"}],
        [("a", Decimal(2))],
        {"conflict_where": "price > 0"},
    ),
}


@at_both_sizes(0)
@pytest.mark.parametrize("case", EQUAL.values(), ids=list(EQUAL))
async def test_the_last_row_wins_if_keys_are_equal_in_the_table(database_url: str, case: EqualKeys, count: int) -> None:
    options = {"conflict_key": ("name",), **case.options}
    items = Resource(
        name="items",
        label="Item",
        label_field="name",
        model=Rate,
        table="items",
        conflict=ConflictPolicy.UPDATE,
        **options,
    )
    async with table_site(database_url, case.tables, items) as site:
        others = [{"name": f"g{i}", "price": str(i + 10)} for i in range(count)]
        job, bad = await site.load([case.rows[0], *others, *case.rows[1:]])
        assert (job["status"], bad) == ("Completed", {}), job
        assert await site.rows("SELECT name, price FROM items WHERE name IS NULL OR name NOT LIKE 'g%'") == case.stored
        assert (job["created"], job["updated"]) == (count + 1, 1)


async def test_a_row_with_a_character_missing_from_the_database_encoding_is_one_bad_row(server_url: str) -> None:
    name = "latin_one_imports"
    parts = urlsplit(server_url)
    url = urlunsplit(parts._replace(path=f"/{name}"))
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name}")
        connection.execute(f"CREATE DATABASE {name} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
        try:
            await _latin_rows(url)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


async def _latin_rows(url: str) -> None:
    from bulkport.migrations import upgrade_sql

    await execute(url, upgrade_sql())
    items = CASES["an assertion"].resource()
    async with table_site(url, "CREATE TABLE items (name text, price integer)", items) as site:
        for count in (2, MANY):
            job, bad = await site.load([{"name": "Zürich"}, *_good(count), {"name": "5 €"}])
            assert (job["status"], job["successCount"]) == ("PartialSuccess", count + 1), job
            assert list(bad) == [count + 2]
            assert bad[count + 2][0][0] == "name"
            assert "which the database's encoding LATIN1 cannot store" in bad[count + 2][0][1]
        assert (await site.rows("SELECT count(*) FROM items WHERE name = 'Zürich'")) == [(2,)]
        for count in (1, MANY):
            odd = {"name": f"u{count}", "€": 1}
            job, bad = await site.load([{"name": f"{count}-{i}"} for i in range(count)] + [odd])
            assert (job["status"], bad) == ("Completed", {}), job
            assert job["warnings"] == ["Unknown fields were ignored: ?"]
        answer = await site.api.post("/api/items/bulk", content="name,€\na,1\n".encode(), headers=CSV)
        assert (answer.status_code, "cannot store" in answer.json()["detail"]) == (400, True)
