"""Tables with rules, triggers of every kind, odd names and partial keys: a bad row is one bad row at either size."""

from collections.abc import Mapping
from random import Random
from typing import Any

import pytest
from pydantic import BaseModel
from table_site import table_site

from bulkport import ConflictPolicy, Resource
from table_sizes import at_both_sizes


class Item(BaseModel):
    name: str
    price: int | None = 1


def _items(**options: Any) -> Resource:
    return Resource(name="items", label="Item", label_field="name", model=Item, **{"table": "items", **options})


def _judged(when: str, body: str) -> str:
    """A table with a trigger that checks rows."""
    return f"""
        CREATE TABLE items (name text, price integer);
        CREATE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;
        CREATE {when} EXECUTE FUNCTION judge();
    """


CASES: dict[str, tuple[str, Mapping[str, Any], str, str, Mapping[str, Any]]] = {
    "a trigger that raises as a unique key does": (
        _judged(
            "TRIGGER j BEFORE INSERT ON items FOR EACH ROW",
            "IF NEW.price < 0 THEN RAISE unique_violation USING MESSAGE = 'twice is too much'; END IF; RETURN NEW;",
        ),
        {"price": -1},
        "",
        "twice is too much",
        {},
    ),
    "a trigger on statements": (
        _judged(
            "TRIGGER j AFTER INSERT ON items REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT",
            "IF EXISTS (SELECT FROM fresh WHERE price < 0) THEN RAISE 'below zero'; END IF; RETURN NULL;",
        ),
        {"price": -1},
        "",
        "below zero",
        {},
    ),
    "a deferred constraint trigger": (
        _judged(
            "CONSTRAINT TRIGGER j AFTER INSERT ON items DEFERRABLE INITIALLY DEFERRED FOR EACH ROW",
            "IF NEW.price < 0 THEN RAISE 'too cheap'; END IF; RETURN NULL;",
        ),
        {"price": -1},
        "",
        "too cheap",
        {},
    ),
    "a view with a trigger in place of INSERT": (
        """
        CREATE TABLE goods (name text, price integer); CREATE VIEW items AS SELECT * FROM goods;
        CREATE FUNCTION put() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.price < 0 THEN RAISE 'too cheap'; END IF;
            INSERT INTO goods VALUES (NEW.name, NEW.price); RETURN NEW;
        END $$;
        CREATE TRIGGER put INSTEAD OF INSERT ON items FOR EACH ROW EXECUTE FUNCTION put();
        """,
        {"price": -1},
        "",
        "too cheap",
        {},
    ),
    "a rule beside INSERT": (
        (
            "CREATE TABLE log (name text); CREATE TABLE items (name text, price integer CHECK (price > 0));"
            "CREATE RULE logged AS ON INSERT TO items DO ALSO INSERT INTO log VALUES (NEW.name);"
        ),
        {"price": -1},
        "price",
        "price -1 breaks the rule items_price_check: price > 0",
        {},
    ),
    "a rule in place of INSERT": (
        (
            "CREATE TABLE goods (name text, price integer CHECK (price > 0));"
            "CREATE TABLE items (name text, price integer);"
            "CREATE RULE there AS ON INSERT TO items DO INSTEAD INSERT INTO goods VALUES (NEW.name, NEW.price);"
        ),
        {"price": -1},
        "",
        'new row for relation "goods" violates check constraint "goods_price_check" (Failing row contains (bad, -1).)',
        {},
    ),
    "a partition on another server": (
        """
        CREATE EXTENSION postgres_fdw; CREATE TABLE far (name text, price integer CHECK (price > 0));
        DO $$ BEGIN EXECUTE format(
            'CREATE SERVER there FOREIGN DATA WRAPPER postgres_fdw OPTIONS (dbname %L, host %L, port %L)',
            current_database(), coalesce(nullif(split_part(current_setting('unix_socket_directories'), ',', 1), ''),
            'localhost'), current_setting('port')
        ); EXECUTE format('CREATE USER MAPPING FOR CURRENT_USER SERVER there OPTIONS (user %L)', current_user); END $$;
        CREATE TABLE items (name text, price integer) PARTITION BY LIST (price);
        CREATE FOREIGN TABLE items_far PARTITION OF items FOR VALUES IN (1, -1) SERVER there OPTIONS (table_name 'far');
        """,
        {"price": -1},
        "",
        'new row for relation "far" violates check constraint "far_price_check"',
        {},
    ),
    "a check that old rows need not keep": (
        "CREATE TABLE items (name text, price integer); ALTER TABLE items ADD CHECK (price > 0) NOT VALID;",
        {"price": -1},
        "price",
        "price -1 breaks the rule items_price_check: price > 0",
        {},
    ),
    "a table whose name has points": (
        'CREATE SCHEMA "my.shop"; CREATE TABLE "my.shop"."it.ems" (name text, price integer CHECK (price > 0));',
        {"price": -1},
        "price",
        "price -1 breaks the rule it.ems_price_check: price > 0",
        {"table": '"my.shop"."it.ems"'},
    ),
    "an heir with a rule of its own": (
        "CREATE TABLE base (name text, price integer); CREATE TABLE items (CHECK (price < 10)) INHERITS (base);",
        {"price": 10},
        "price",
        "price 10 breaks the rule items_price_check: price < 10",
        {},
    ),
    "a generated column out of range": (
        "CREATE TABLE items (name text, price integer, twice integer GENERATED ALWAYS AS (price * 2) STORED);",
        {"price": 2_000_000_000},
        "",
        "integer out of range",
        {},
    ),
    "a key that the table computes": (
        "CREATE TABLE items (name text, price integer, low text GENERATED ALWAYS AS (lower(name)) STORED UNIQUE);",
        {"name": "G0"},
        "",
        "Item with low 'g0' already exists",
        {},
    ),
    "a partition of an expression": (
        (
            "CREATE TABLE items (name text, price integer) PARTITION BY LIST ((left(lower(name), 1)));"
            "CREATE TABLE items_g PARTITION OF items FOR VALUES IN ('g');"
        ),
        {},
        "",
        'no partition for "left"(lower(name), 1) = b',
        {},
    ),
    "a domain that takes no null": (
        "CREATE DOMAIN priced AS integer NOT NULL; CREATE TABLE items (name text, price priced);",
        {"price": None},
        "price",
        "price must not be null",
        {},
    ),
    "a type with syntax errors of its own": (
        "CREATE TABLE items (name tsvector, price integer);",
        {"name": "'bad"},
        "name",
        'name: syntax error in tsvector: "\'bad"',
        {},
    ),
    "a key that is too long for its index": (
        "CREATE TABLE items (name text PRIMARY KEY, price integer);",
        {"name": Random(1).randbytes(9000).hex()},
        "",
        "index row requires 18016 bytes, maximum size is 8191",
        {},
    ),
    "names with signs of placeholders": (
        'CREATE TABLE "it%ms" (name text, "pri%s" integer CHECK ("pri%s" > 0));',
        {"price": -1},
        "price",
        'price -1 breaks the rule it%ms_pri%s_check: "pri%s" > 0',
        {"table": "it%ms", "columns": {"price": "pri%s"}},
    ),
}


def _good(count: int) -> list[dict[str, Any]]:
    return [{"name": f"g{i}"} for i in range(count)]


@at_both_sizes(2)
@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
async def test_one_bad_row_is_reported_by_field_and_all_others_are_written(
    database_url: str, case: tuple[str, Mapping[str, Any], str, str, Mapping[str, Any]], count: int
) -> None:
    tables, bad_row, field, message, options = case
    async with table_site(database_url, tables, _items(**options)) as site:
        rows = _good(count)
        rows.insert(count // 2, {"name": "bad", **bad_row})
        job, bad = await site.load(rows)
        assert (job["status"], job["successCount"], job["created"]) == ("PartialSuccess", count, count), job
        assert bad == {count // 2 + 1: [(field, message)]}


@at_both_sizes(2)
async def test_rows_dropped_by_a_rule_are_skipped_beside_bad_ones(database_url: str, count: int) -> None:
    tables = """
        CREATE TABLE items (name text, price integer CHECK (price < 100));
        CREATE RULE cheap AS ON INSERT TO items WHERE NEW.price < 0 DO INSTEAD NOTHING;
    """
    async with table_site(database_url, tables, _items()) as site:
        out = {"name": "out", "price": -1}
        job, bad = await site.load([*_good(count), out])
        assert (job["status"], job["created"], job["skipped"], bad) == ("Completed", count, 1, {})
        job, bad = await site.load([*_good(count), out, {"name": "bad", "price": 100}])
        assert (job["status"], job["created"], job["skipped"]) == ("PartialSuccess", count, 1)
        assert list(bad) == [count + 2]
        assert await site.rows("SELECT count(*) FROM items") == [(2 * count,)]


async def test_rows_of_a_table_that_stores_nothing_are_skipped(database_url: str) -> None:
    tables = "CREATE TABLE items (name text, price integer); CREATE RULE r AS ON INSERT TO items DO INSTEAD NOTHING"
    async with table_site(database_url, tables, _items()) as site:
        job, _ = await site.load(_good(3))
        assert (job["created"], job["skipped"]) == (0, 3)


@at_both_sizes(2)
@pytest.mark.parametrize("policy", [ConflictPolicy.SKIP, ConflictPolicy.UPDATE])
async def test_a_partial_key_with_a_pattern_covers_only_its_rows(
    database_url: str, policy: ConflictPolicy, count: int
) -> None:
    where = "name NOT LIKE 'x%'"
    items = _items(conflict=policy, conflict_key=("name",), conflict_where=where)
    tables = f"CREATE TABLE items (name text, price integer); CREATE UNIQUE INDEX ON items (name) WHERE {where}"
    async with table_site(database_url, tables, items) as site:
        rows = [{"name": name, "price": price} for name, price in [("a", 1), ("a", 2), ("x", 3), ("x", 4)]]
        job, bad = await site.load([*_good(count), *rows])
        assert (job["status"], job["created"], bad) == ("Completed", count + 3, {})
        kept = 1 if policy is ConflictPolicy.SKIP else 2
        stored = await site.rows("SELECT name, price FROM items WHERE name NOT LIKE 'g%' ORDER BY price")
        assert stored == [("a", kept), ("x", 3), ("x", 4)]


@at_both_sizes(2)
@pytest.mark.parametrize("kind", ["an expression", "columns", "columns without an index"])
async def test_keys_that_contain_placeholder_characters_are_stored(database_url: str, kind: str, count: int) -> None:
    tables, options = {
        "an expression": (
            'CREATE TABLE "it%s" (name text, "pri%" integer); CREATE UNIQUE INDEX ON "it%s" (("pri%" % 10000))',
            {"conflict_key": ('("pri%" % 10000)',)},
        ),
        "columns": ('CREATE TABLE "it%s" (name text, "pri%" integer PRIMARY KEY)', {"conflict_key": ("pri%",)}),
        "columns without an index": (
            'CREATE TABLE "it%s" (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text, "pri%" integer)',
            {"key": ("pri%",)},
        ),
    }[kind]
    items = _items(table="it%s", columns={"price": "pri%"}, conflict=ConflictPolicy.UPDATE, **options)
    async with table_site(database_url, tables, items) as site:
        rows = [{"name": f"g{i}", "price": i} for i in range(count)]
        await site.load(rows)
        job, bad = await site.load([*rows, {"name": "changed", "price": 1}])
        assert (job["status"], bad) == ("Completed", {})
        assert await site.rows("""SELECT count(*), max(name) FILTER (WHERE "pri%" = 1) FROM "it%s" """) == [
            (count, "changed")
        ]
