"""What a request may choose about writing: modes, trials and results, with a unique key and without one."""

import asyncio
import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any

import pytest
from fastapi import Header
from pydantic import BaseModel, Field
from table_site import TableSite, table_site

from bulkport import Reference, Resource
from bulkport.imports.write_options import WriteMode
from each_case import case
from import_steps import CSV, NDJSON
from table_sizes import at_both_sizes


class Good(BaseModel):
    sku: str
    title: Annotated[str, Field(max_length=20)]
    price: int | None = None


def goods(**options: Any) -> Resource:
    return Resource(
        name="goods",
        label="Good",
        label_field="sku",
        model=Good,
        table="goods",
        key=("sku",),
        modes=tuple(WriteMode),
        **options,
    )


UNIQUE = (
    "CREATE TABLE goods (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, sku text UNIQUE, title text, price int)"
)
LOOSE = UNIQUE.replace("sku text UNIQUE", "sku text")
KEYS = pytest.mark.parametrize("tables", [UNIQUE, LOOSE], ids=["unique key", "key without index"])
SOME = "INSERT INTO goods (sku, title, price) VALUES ('a', 'A', 1), ('b', 'B', 2), ('c', 'C', 3)"


def counts(job: dict[str, Any]) -> dict[str, int]:
    names = ("created", "updated", "unchanged", "skipped", "deleted")
    return {name: job[name] for name in names if job[name]}


async def stored(site: TableSite) -> list[tuple[Any, ...]]:
    return await site.rows("SELECT sku, title, price FROM goods ORDER BY sku, id")


@KEYS
async def test_upsert_creates_changes_and_leaves_unchanged_rows_alone(database_url: str, tables: str) -> None:
    async with table_site(database_url, f"{tables}; {SOME}", goods()) as site:
        rows = [
            {"sku": "a", "title": "A", "price": 1},
            {"sku": "b", "title": "B2"},
            {"sku": "d", "title": "first"},
            {"sku": "d", "title": "last", "price": 4},
            {"sku": "e", "title": "x" * 21},
        ]
        job, bad = await site.load(rows, query="?mode=upsert")
        assert (job["status"], job["mode"], list(bad)) == ("PartialSuccess", "upsert", [5])
        assert counts(job) == {"created": 1, "updated": 2, "unchanged": 1}
        assert await stored(site) == [("a", "A", 1), ("b", "B2", 2), ("c", "C", 3), ("d", "last", 4)]


@KEYS
async def test_update_never_creates_and_changes_only_given_fields(database_url: str, tables: str) -> None:
    async with table_site(database_url, f"{tables}; {SOME}", goods()) as site:
        job, bad = await site.load(b"sku,price\na,9\nb,2\nz,5\n", query="?mode=update", headers=CSV)
        assert (job["status"], bad, counts(job)) == ("Completed", {}, {"updated": 1, "unchanged": 1, "skipped": 1})
        assert await stored(site) == [("a", "A", 9), ("b", "B", 2), ("c", "C", 3)]
        job, bad = await site.load([{"sku": "c", "price": None}, {"sku": "b", "title": None}], query="?mode=update")
        assert counts(job) == {"updated": 1}
        assert bad == {2: [("title", "title must not be null")]}
        assert (await stored(site))[2] == ("c", "C", None)


@KEYS
async def test_skip_leaves_stored_rows_alone(database_url: str, tables: str) -> None:
    async with table_site(database_url, f"{tables}; {SOME}", goods()) as site:
        rows = [{"sku": "a", "title": "new"}, {"sku": "d", "title": "first"}, {"sku": "d", "title": "second"}]
        job, _ = await site.load(rows, query="?mode=skip")
        assert counts(job) == {"created": 1, "skipped": 2}
        assert await stored(site) == [("a", "A", 1), ("b", "B", 2), ("c", "C", 3), ("d", "first", None)]


@KEYS
async def test_delete_needs_only_keys(database_url: str, tables: str) -> None:
    async with table_site(database_url, f"{tables}; {SOME}", goods()) as site:
        rows = [{"sku": "a"}, {"sku": "z"}, {"title": "no key"}, {"sku": "b"}, {"sku": "b"}]
        job, bad = await site.load(rows, query="?mode=delete")
        assert (counts(job), bad) == ({"deleted": 2, "skipped": 2}, {3: [("sku", "sku is required")]})
        assert await stored(site) == [("c", "C", 3)]


async def test_deleting_a_referenced_row_is_one_bad_row(database_url: str) -> None:
    tables = f"{UNIQUE}; {SOME}; CREATE TABLE orders (sku text REFERENCES goods (sku)); INSERT INTO orders VALUES ('b')"
    async with table_site(database_url, tables, goods()) as site:
        job, bad = await site.load([{"sku": "a"}, {"sku": "b"}, {"sku": "c"}], query="?mode=delete")
        assert (job["status"], counts(job), list(bad)) == ("PartialSuccess", {"deleted": 2}, [2])
        assert "orders" in bad[2][0][1]


async def test_of_several_rows_with_one_key_the_lowest_id_is_matched(database_url: str) -> None:
    async with table_site(database_url, f"{LOOSE}; {SOME}; {SOME}", goods()) as site:
        job, _ = await site.load([{"sku": "a", "title": "one"}], query="?mode=upsert&results=ids")
        assert counts(job) == {"updated": 1}
        assert await site.rows("SELECT id, title FROM goods WHERE sku = 'a' ORDER BY id") == [(1, "one"), (4, "A")]


async def test_two_concurrent_imports_create_no_duplicates(database_url: str) -> None:
    async with table_site(database_url, LOOSE, goods()) as site:
        forwards = [{"sku": f"s{i}", "title": "x"} for i in range(300)]
        imports = (site.load(rows, query="?mode=upsert") for rows in (forwards, forwards[::-1]))
        jobs = await asyncio.gather(*imports)
        assert [job["status"] for job, _ in jobs] == ["Completed", "Completed"]
        assert await site.rows("SELECT count(*), count(DISTINCT sku) FROM goods") == [(300, 300)]


async def test_modes_that_the_resource_does_not_allow_are_rejected(database_url: str) -> None:
    resource = Resource(name="goods", label="Good", label_field="sku", model=Good, table="goods")
    async with table_site(database_url, UNIQUE, resource) as site:
        wrong = "?mode=delete", "?mode=nonsense", "?dryRun=maybe", "?results=all", "?dry_run=true", "?delimeter=;"
        for query in wrong:
            answer = await site.api.post(f"/api/goods/bulk{query}", content=b"{}", headers=NDJSON)
            assert answer.status_code == 400, answer.text
            assert query[1:].partition("=")[0] in answer.json()["errors"]


@KEYS
async def test_a_dry_run_reports_everything_and_stores_nothing(database_url: str, tables: str) -> None:
    async with table_site(database_url, f"{tables}; {SOME}", goods(), chunk_bytes=100) as site:
        before = await stored(site)
        rows = [
            {"sku": "a", "title": "A2", "price": 7},
            {"sku": "b", "title": "B", "price": 2},
            {"sku": "new", "title": "N"},
            {"sku": "new", "title": "N2"},
            {"sku": "bad", "title": "x" * 21},
        ]
        job, bad = await site.load(rows, query="?mode=upsert&dryRun=true")
        assert (job["status"], job["dryRun"], list(bad)) == ("PartialSuccess", True, [5])
        assert counts(job) == {"created": 1, "updated": 2, "unchanged": 1}
        changes = {change["field"]: (change["old"], change["new"]) for change in job["differences"][0]["changes"]}
        assert (job["differences"][0]["row"], changes) == (1, {"title": ("A", "A2"), "price": ("1", "7")})
        assert await stored(site) == before
        job, bad = await site.load(
            [{"sku": "y", "title": "Y"}, {"sku": "a", "title": "taken"}], query="?mode=insert&dryRun=true"
        )
        assert counts(job) == ({"created": 1} if tables is UNIQUE else {"created": 2})
        assert await stored(site) == before


class Moment(BaseModel):
    name: str
    at: datetime
    lasts: timedelta = timedelta(0)


async def test_times_are_compared_whatever_the_databases_date_style(database_url: str) -> None:
    tables = """
        CREATE TABLE moments (name text PRIMARY KEY, at timestamptz, lasts interval);
        DO $$ BEGIN
            EXECUTE format('ALTER DATABASE %I SET datestyle = ''German, DMY''', current_database());
            EXECUTE format('ALTER DATABASE %I SET intervalstyle = ''sql_standard''', current_database());
        END $$;
    """
    modes = (WriteMode.UPSERT,)
    resource = Resource(
        name="moments", label="Moment", label_field="name", model=Moment, table="moments", key=("name",), modes=modes
    )
    async with table_site(database_url, tables, resource) as site:
        row = {"name": "a", "at": "2026-03-04T05:06:07+01:00", "lasts": "-1 days -02:00"}
        job, bad = await site.load([row], query="?mode=upsert")
        assert (counts(job), bad) == ({"created": 1}, {})
        row = {"name": "a", "at": "2026-03-04T04:06:07Z", "lasts": "-1 days, 2 hours"}
        job, _ = await site.load([row], query="?mode=upsert&dryRun=true")
        assert [change["field"] for change in job["differences"][0]["changes"]] == ["lasts"]
        assert await site.rows("SELECT at = '2026-03-04 04:06:07+00', extract(epoch FROM lasts)::int FROM moments") == [
            (True, -93_600)
        ]


@KEYS
async def test_results_report_the_outcome_and_id_of_every_row(database_url: str, tables: str) -> None:
    async with table_site(database_url, f"{tables}; {SOME}", goods(), chunk_bytes=60) as site:
        rows = [
            {"sku": "a", "title": "A", "price": 1},
            {"sku": "b", "title": "B2"},
            {"sku": "n", "title": "N"},
            {"sku": "x", "title": "x" * 21},
        ]
        job, _ = await site.load(rows, query="?mode=upsert&results=ids")
        answer = await site.api.get(f"/api/imports/{job['id']}/results")
        new = (await site.rows("SELECT id::text FROM goods WHERE sku = 'n'"))[0][0]
        assert answer.json() == {
            "items": [
                {"row": 1, "outcome": "unchanged", "id": "1"},
                {"row": 2, "outcome": "updated", "id": "2"},
                {"row": 3, "outcome": "created", "id": new},
                {"row": 4, "outcome": "failed", "id": None},
            ],
            "nextCursor": None,
        }
        lines = await site.api.get(f"/api/imports/{job['id']}/results", headers={"accept": "application/x-ndjson"})
        assert [json.loads(line)["row"] for line in lines.text.splitlines()] == [1, 2, 3, 4]
        table = await site.api.get(f"/api/imports/{job['id']}/results?cursor=2", headers={"accept": "text/csv"})
        assert table.text == f"row,outcome,id\r\n3,created,{new}\r\n4,failed,\r\n"
        rows = [{"sku": "m", "title": "M"}, {"sku": "k", "title": "K"}]
        job, _ = await site.load(rows, query="?mode=insert&results=ids")
        page = await site.api.get(f"/api/imports/{job['id']}/results?limit=1")
        assert (len(page.json()["items"]), page.json()["nextCursor"]) == (1, "1")


SPECIAL = {
    "partitions without a key of one column": (
        "CREATE TABLE goods (sku text, title text, price int, PRIMARY KEY (sku, title)) PARTITION BY HASH (sku, title);"
        "CREATE TABLE goods_0 PARTITION OF goods FOR VALUES WITH (modulus 2, remainder 0);"
        "CREATE TABLE goods_1 PARTITION OF goods FOR VALUES WITH (modulus 2, remainder 1);"
    ),
    "no primary key": "CREATE TABLE goods (sku text, title text, price int)",
    "a deferrable key": (
        "CREATE TABLE goods (sku text PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, title text, price int)"
    ),
    "a view": (
        "CREATE TABLE things (sku text PRIMARY KEY, title text, price int);"
        "CREATE VIEW goods AS SELECT sku, title, price FROM things WHERE price IS DISTINCT FROM 99 WITH CHECK OPTION"
    ),
}


@at_both_sizes(0)
@pytest.mark.parametrize("tables", SPECIAL.values(), ids=list(SPECIAL))
async def test_modes_work_on_every_kind_of_table(database_url: str, tables: str, count: int) -> None:
    async with table_site(database_url, f"{tables}; {SOME}", goods()) as site:
        more = [{"sku": f"m{i}", "title": "M"} for i in range(count)]
        job, bad = await site.load(
            [
                {"sku": "a", "title": "A", "price": 7},
                {"sku": "b", "title": "B", "price": 2},
                {"sku": "d", "title": "D"},
                *more,
            ],
            query="?mode=upsert",
        )
        assert (counts(job), bad) == ({"created": 1 + count, "updated": 1, "unchanged": 1}, {})
        job, bad = await site.load([*more, {"sku": "a", "price": 8}, {"sku": "z", "price": 1}], query="?mode=update")
        assert (job["updated"], job["skipped"], bad) == (1, 1, {})
        if "CHECK OPTION" in tables:
            job, bad = await site.load([{"sku": "a", "price": 99}, {"sku": "b", "price": 98}], query="?mode=update")
            assert (job["updated"], list(bad)) == (1, [1])
        job, bad = await site.load([{"sku": "b"}, {"sku": "c"}, {"sku": "z"}, *more], query="?mode=delete&results=ids")
        assert (job["deleted"], job["skipped"], bad) == (2 + count, 1, {})
        assert [row[:2] for row in await site.rows("SELECT sku, title, price FROM goods ORDER BY sku")] == [
            ("a", "A"),
            ("d", "D"),
        ]


@KEYS
async def test_columns_can_be_named_like_sql_keywords(database_url: str, tables: str) -> None:
    names = {"sku": "position", "title": "ordinality", "price": "place"}
    for field, column in names.items():
        tables = tables.replace(field, column)
    extra = " ADD stored int, ADD given int, ADD chosen int, ADD typed int, ADD excluded int, ADD merged int"
    tables = f"{tables}; ALTER TABLE goods{extra}; INSERT INTO goods (position) VALUES ('a'), ('b')"
    async with table_site(database_url, tables, replace(goods(), columns=names, key=("position",))) as site:
        for mode in (WriteMode.INSERT, WriteMode.SKIP, WriteMode.UPSERT, WriteMode.UPDATE, WriteMode.DELETE):
            for query in ("", "&results=ids", "&dryRun=true"):
                rows = [
                    {"sku": sku} | ({} if mode is WriteMode.DELETE else {"title": mode, "price": 1}) for sku in "bcb"
                ]
                job, _ = await site.load(rows, query=f"?mode={mode}{query}")
                with case(mode, query, job):
                    assert job["successCount"] + job["failureCount"] == 3
                    assert "ambiguous" not in (job["errorSummary"] or "")


async def _org(x_org: Annotated[int, Header()]) -> int:
    return x_org


class Box(BaseModel):
    code: str
    size: int = 1
    shelf_id: int | None = None


TENANTS = """
    CREATE TABLE shelves (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, org_id int, name text, gone boolean);
    INSERT INTO shelves (org_id, name, gone) VALUES
        (1, 'top', false), (2, 'top', false), (2, 'low', false), (1, 'old', true);
    CREATE TABLE boxes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, org_id int NOT NULL, code text, size int,
                        shelf_id bigint REFERENCES shelves, UNIQUE (org_id, code));
    INSERT INTO boxes (org_id, code, size) VALUES (2, 'a', 20);
"""


@pytest.mark.parametrize("key", [("org_id", "code"), ("code",)], ids=["tenant in the key", "tenant not in the key"])
async def test_a_tenant_neither_sees_nor_touches_another_tenants_rows(database_url: str, key: tuple[str, ...]) -> None:
    boxes = Resource(
        name="boxes",
        label="Box",
        label_field="code",
        model=Box,
        table="boxes",
        key=key,
        modes=tuple(WriteMode),
        context={"org_id": _org},
        references=(
            Reference(
                "shelf_id",
                table="shelves",
                label="Shelf",
                lookup_field="shelf",
                lookup_column="name",
                where="NOT gone",
                match={"org_id": "org_id"},
            ),
        ),
    )
    async with table_site(database_url, TENANTS, boxes) as site:
        one = {**NDJSON, "x-org": "1"}
        rows = [
            {"code": "a", "org_id": 2, "shelf": "top"},
            {"code": "b", "shelf": "low"},
            {"code": "c", "shelf_id": 2},
            {"code": "d", "shelf": "old"},
        ]
        job, bad = await site.load(rows, query="?mode=upsert", headers=one)
        assert counts(job) == {"created": 1}
        assert {number: errors[0][1] for number, errors in bad.items()} == {
            2: "Shelf 'low' does not exist",
            3: "Shelf 2 does not exist",
            4: "Shelf 'old' does not exist",
        }
        assert await site.rows("SELECT org_id, code, size, shelf_id FROM boxes ORDER BY org_id") == [
            (1, "a", 1, 1),
            (2, "a", 20, None),
        ]
        for mode, expected in (("update", {"updated": 1}), ("skip", {"skipped": 1}), ("delete", {"deleted": 1})):
            job, bad = await site.load([{"code": "a", "size": 5}], query=f"?mode={mode}", headers=one)
            assert (counts(job), bad) == (expected, {}), mode
        assert await site.rows("SELECT org_id, size FROM boxes") == [(2, 20)]


async def test_imports_that_change_the_same_rows_in_different_orders_all_finish(database_url: str) -> None:
    async with table_site(database_url, UNIQUE, goods(), chunk_bytes=2000) as site:
        forwards = [{"sku": f"s{i}", "title": "x"} for i in range(400)]
        backwards = [{"sku": f"s{i}", "title": "y"} for i in range(399, -1, -1)]
        loads = [site.load(rows, query="?mode=upsert") for rows in (forwards, backwards, forwards)]
        jobs = [job for job, _ in await asyncio.gather(*loads, site.load(backwards, query="?mode=skip"))]
        assert [(job["status"], job["failureCount"]) for job in jobs] == [("Completed", 0)] * 4
        assert await site.rows("SELECT count(*) FROM goods") == [(400,)]
