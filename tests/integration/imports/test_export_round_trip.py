"""What is exported is imported again: every format, every type of column, every value equal."""

import contextlib
import io
import json
from collections.abc import AsyncIterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import openpyxl
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from psycopg import sql
from pydantic import BaseModel, Field
from table_site import TableSite, table_site

from application_client import assert_problem
from bulkport import Resource
from bulkport.errors import ServiceUnavailable
from bulkport.imports.exports import file_columns, writing
from bulkport.imports.exports.pages import Export, PageText
from bulkport.imports.exports.query import ExportQuery
from bulkport.imports.exports.writing import FileFormat, written_file
from bulkport.imports.writing.table import read_table
from bulkport.pools import open_pool
from import_steps import execute, imported

MEDIA_TYPES = {
    "csv": "text/csv",
    "ndjson": "application/x-ndjson",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "parquet": "application/vnd.apache.parquet",
}
FORMATS = list(MEDIA_TYPES)

TABLES = """
    CREATE TYPE mood AS ENUM ('happy', 'so, so', 'o"d\\d');
    CREATE TYPE pair AS (a int, b text);
    CREATE DOMAIN tag_list AS text[];
    CREATE DOMAIN price AS numeric(10,2) CHECK (VALUE >= 0);
    CREATE TABLE everything (
        id bigint PRIMARY KEY, t text, v varchar(40), c char(5), i2 smallint, i4 integer, i8 bigint, n numeric,
        n2 numeric(12,2), wide numeric(45,5), f4 real, f8 double precision, m money, b boolean, d date, ts timestamp,
        tz timestamptz, ti time, tiz timetz, iv interval, u uuid, ba bytea, e mood, j json, jb jsonb, ta text[],
        ia bigint[], na numeric[], da date[], fa double precision[], tags tag_list, p price, ip inet, net cidr,
        mac macaddr, bits varbit, r int4range, dr daterange, mr int4multirange, x tsvector, pt point,
        co pair, ja jsonb[]
    );
"""


class Everything(BaseModel):
    """A row, by the types that a model would have."""

    id: int
    t: str
    v: str | None = None
    c: str | None = None
    i2: int | None = None
    i4: int | None = None
    i8: int | None = None
    n: Decimal | None = None
    n2: Decimal | None = None
    wide: Decimal | None = None
    f4: Annotated[float, Field(allow_inf_nan=True)] | None = None
    f8: Annotated[float, Field(allow_inf_nan=True)] | None = None
    m: Decimal | None = None
    b: bool | None = None
    d: date | None = None
    ts: datetime | None = None
    tz: datetime | None = None
    ti: time | None = None
    tiz: time | None = None
    iv: timedelta | None = None
    u: UUID | None = None
    ba: bytes | None = None
    e: str | None = None
    j: Any = None
    jb: dict[str, Any] | list[Any] | None = None
    ta: list[str | None] | None = None
    ia: list[int | None] | None = None
    na: list[Decimal] | None = None
    da: list[date] | None = None
    fa: list[float] | None = None
    tags: list[str] | None = None
    p: Decimal | None = None
    ip: str | None = None
    net: str | None = None
    mac: str | None = None
    bits: str | None = None
    r: str | None = None
    dr: str | None = None
    mr: str | None = None
    x: str | None = None
    pt: str | None = None
    co: str | None = None
    ja: list[Any] | None = None


EVERYTHING = Resource(name="everything", label="Row", label_field="t", model=Everything, table="everything")


class Pair(BaseModel):
    a: int
    b: str
    words: str


PAIRS = Resource(name="pairs", label="Pair", label_field="b", model=Pair, table="pairs")

ROWS = r"""
    INSERT INTO everything VALUES
    (1, 'plain', 'x', 'ab', 1, 2, 3, 1.50, 2.50, 1.5, 1.5, 2.5, 12.5, true, '2024-02-29', '2024-02-29 10:00:00',
     '2024-02-29 10:00:00+05:30', '10:00', '10:00+01', '1 day 02:30:00', '8e03978e-40d5-43e8-bc93-6894a57f9324',
     '\xdeadbeef', 'happy', '{"a": 1}', '{"a": [1, null, 0.10000000000000000001]}', '{a,"b c",NULL,"",NULL}', '{1,-2}',
     '{1.50,12345678901234567890.123}', '{2024-01-31}', '{1.5,0.1}', '{x,"y, z"}', 9.99, '192.0.2.1', '192.0.2.0/24',
     '08:00:2b:01:02:03', '10110', '[1,5)', '[2024-01-01,)', '{[1,5),[8,9)}', '''a'':1', '(1,2.5)', '(1,"x, y")',
     ARRAY['{"a": "b"}'::jsonb, '[1]']);
    INSERT INTO everything VALUES
    (2, E'line\nend\r\ncr\rtab\t"q" ''s'' \\ \u0001 _x0041_ ; | , =1+1', E'  blanks  ', 'abcde', -32768, -2147483648,
     -9223372036854775808, 123456789012345678901234567890.123456789, -9999999999.99,
     1234567890123456789012345678901234567890.12345, 'NaN', 'Infinity', -0.01, false, '0001-01-01',
     '9999-12-31 23:59:59.999999', '1883-11-18 12:00:00.000001+00', '23:59:59.999999', '00:00:00.5-14', '-1 day',
     '00000000-0000-0000-0000-000000000000', '\x', 'o"d\d', E'{"a":\n 1,\r\n "b": "x\\ny"}', '[]', '{}', '{}', '{}',
     '{}', '{}', '{}', 0, '2001:db8::1/64', '2001:db8::/32', 'ff:ff:ff:ff:ff:ff', '', 'empty', '(,)', '{}', '', '(0,0)',
     '(,)', '{}');
    INSERT INTO everything VALUES
    (3, '=SUM(A1)', '-5', '007', 32767, 2147483647, 9223372036854775807, 1e-20, 0.00, 0.00001, 3.4028235e38,
     0.30000000000000004, 92233720368547758.07, NULL, '1900-02-28', '1900-02-28 00:00:00', '2024-01-01 00:00:00+00',
     '00:00', '12:00+00', '1 mon'::interval - interval '1 mon', NULL, '\x00ff', 'so, so', '"text"', '{}',
     '{"NULL","null","{}"}', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
     NULL, NULL);
    INSERT INTO everything VALUES
    (4, '日本語 😀 Zürich', '2024-01-31', '  x', 0, 0, 999999999999999, 0, 1.10, NULL, 'Infinity', '-Infinity',
     NULL, NULL, '2024-01-31', '2024-01-31 12:34:56.5', '2024-01-31 12:34:56+00', NULL, NULL, '-25:00:00.000001', NULL,
     NULL, NULL, '[1.0, 1e400]', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
     NULL, NULL, NULL, NULL, NULL);
    INSERT INTO everything VALUES (5, 'nothing')
"""


@pytest.fixture
async def site(database_url: str) -> AsyncIterator[TableSite]:
    async with table_site(database_url, TABLES, EVERYTHING) as site:
        await execute(site.url, ROWS)
        yield site


async def stored(site: TableSite) -> list[tuple[str, ...]]:
    """Every value as PostgreSQL writes it."""
    # Equal by the type's own rules: 1.5 and 1.50, a day and 24 hours.
    equal = {"j": "j::jsonb", "n": "trim_scale(n)", "iv": "extract(epoch FROM iv)"}
    columns = ", ".join(f"{equal.get(name, name)}::text" for name in Everything.model_fields)
    return await site.rows(f"SELECT {columns} FROM everything ORDER BY id")


async def exported(site: TableSite, export_format: str, query: str = "") -> bytes:
    answer = await site.api.get(f"/api/everything/export?format={export_format}{query}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith(MEDIA_TYPES[export_format])
    assert answer.headers["content-disposition"] == f'attachment; filename="everything.{export_format}"'
    return answer.content


@pytest.mark.parametrize("export_format", FORMATS)
async def test_every_value_of_every_type_round_trips(site: TableSite, export_format: str) -> None:
    before = await stored(site)
    has_no_nulls = export_format in ("csv", "xlsx")
    file = await exported(site, export_format, "&nullWord=%5CN" if has_no_nulls else "")
    await execute(site.url, "TRUNCATE everything")
    query = "?nullWords=%5CN&blank=empty" if has_no_nulls else ""
    job = await imported(
        site.api,
        f"/api/everything/bulk{query}",
        content=file,
        headers={"content-type": MEDIA_TYPES[export_format]},
    )
    assert (job["status"], job["errorSummary"]) == ("Completed", None)
    after = await stored(site)
    for row, again in zip(before, after, strict=True):
        assert dict(zip(Everything.model_fields, again, strict=True)) == dict(
            zip(Everything.model_fields, row, strict=True)
        )


@pytest.mark.parametrize("export_format", FORMATS)
async def test_rows_of_many_pages_appear_once_each_in_order(database_url: str, export_format: str) -> None:
    tables = "CREATE TABLE pairs (a int, b text, words text, PRIMARY KEY (a, b))"
    async with table_site(database_url, tables, PAIRS) as site:
        await execute(
            site.url, "INSERT INTO pairs SELECT i / 7, i, repeat('w', i % 50) FROM generate_series(1, 9000) i"
        )
        answer = await site.api.get(f"/api/pairs/export?format={export_format}")
        await execute(site.url, "CREATE TABLE before AS TABLE pairs; TRUNCATE pairs")
        headers = {"content-type": MEDIA_TYPES[export_format]}
        job = await imported(site.api, "/api/pairs/bulk", content=answer.content, headers=headers)
        assert job["successCount"] == 9000
        difference = "SELECT count(*) FROM (TABLE before EXCEPT TABLE pairs) AS missing"
        assert await site.rows(difference) == [(0,)]


async def test_a_parquet_file_has_the_columns_types(site: TableSite) -> None:
    schema = pq.read_schema(io.BytesIO(await exported(site, "parquet")))
    types = {field.name: field.type for field in schema}
    assert types["i2"] == pa.int16()
    assert types["n2"] == pa.decimal128(12, 2)
    assert types["wide"] == pa.decimal256(45, 5)
    assert types["n"] == pa.string()
    assert types["tz"] == pa.timestamp("us", tz="UTC")
    assert types["d"] == pa.date32()
    assert types["ia"] == pa.list_(pa.int64())
    await execute(site.url, "UPDATE everything SET d = 'infinity', ta = '{{a},{b}}' WHERE id = 1")
    found = pq.read_table(io.BytesIO(await exported(site, "parquet")))
    assert (found["d"][0].as_py(), found["ta"][0].as_py()) == ("infinity", '[["a"],["b"]]')


async def test_a_workbook_has_native_numbers_dates_and_booleans(site: TableSite) -> None:
    book = openpyxl.load_workbook(io.BytesIO(await exported(site, "xlsx")))
    sheet = book.active
    assert sheet is not None
    names = [cell.value for cell in sheet[1]]
    row = dict(zip(names, sheet[2], strict=True))
    assert sheet.freeze_panes == "A2"
    assert {row[name].data_type for name in ("i4", "n2", "f8")} == {"n"}
    assert (row["b"].value, row["d"].value) == (True, datetime.fromisoformat("2024-02-29"))
    assert row["tz"].value == "2024-02-29 04:30:00+00"
    # A number with more digits than a cell keeps is text, and nothing is a formula.
    assert sheet.cell(3, names.index("i8") + 1).value == "-9223372036854775808"
    assert sheet.cell(4, names.index("t") + 1).data_type == "s"


async def test_rows_that_exceed_a_sheet_are_reported_before_any_byte_is_sent(
    site: TableSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    await execute(site.url, "UPDATE everything SET t = repeat('x', 32768) WHERE id = 1")
    problem = assert_problem(await site.api.get("/api/everything/export?format=xlsx"), 400)
    assert problem["errors"]["format"] == [
        "a cell has 32,767 characters at most, and a value has 32,768: take csv, ndjson or parquet"
    ]
    monkeypatch.setattr(file_columns, "MAX_SHEET_ROWS", 5)
    problem = assert_problem(await site.api.get("/api/everything/export?format=xlsx"), 400)
    assert "there are more" in problem["errors"]["format"][0]
    await exported(site, "xlsx", "&search=Z%C3%BCrich")


async def test_a_search_covers_every_text_column(site: TableSite) -> None:
    found = await exported(site, "ndjson", "&search=BLANKS")
    assert [json.loads(line)["id"] for line in found.splitlines()] == [2]


@pytest.mark.parametrize(("export_format", "extra"), [("xlsx", "excel"), ("parquet", "parquet")])
async def test_a_missing_extra_is_named(
    site: TableSite, monkeypatch: pytest.MonkeyPatch, export_format: str, extra: str
) -> None:
    monkeypatch.setattr(writing, "find_spec", lambda _: None)
    problem = assert_problem(await site.api.get(f"/api/everything/export?format={export_format}"), 501)
    assert f"pip install 'bulkport[{extra}]'" in problem["detail"]


@pytest.mark.parametrize("export_format", ["xlsx", "parquet"])
async def test_an_empty_export_imports_as_nothing(site: TableSite, export_format: str) -> None:
    await execute(site.url, "TRUNCATE everything")
    content = await exported(site, export_format)
    answer = await site.api.post(
        "/api/everything/bulk", content=content, headers={"content-type": MEDIA_TYPES[export_format]}
    )
    assert "no records" in assert_problem(answer, 400)["detail"]


async def test_an_export_uses_a_few_megabytes_however_long_its_rows_are(database_url: str) -> None:
    tables = "CREATE TABLE pairs (a int, b text, words text, PRIMARY KEY (a, b))"
    async with table_site(database_url, tables, PAIRS) as site, open_pool(database_url, name="export", most=1) as pool:
        await execute(site.url, "INSERT INTO pairs SELECT i, i, 'short' FROM generate_series(1, 30000) i")
        await execute(
            site.url, "INSERT INTO pairs SELECT i, i, repeat('w', 500000) FROM generate_series(30001, 30100) i"
        )
        async with pool.connection() as connection:
            table = await read_table(connection, PAIRS)
        blocks = [len(block) async for block in Export(pool, table, ExportQuery(("a", "b"))).pages(PageText.CSV)]
        assert sum(blocks) > 50_000_000
        assert max(blocks) < 6 * 1024 * 1024
        # One who stops in the middle leaves the connection as it was.
        async with contextlib.aclosing(Export(pool, table, ExportQuery(("a", "b"))).pages(PageText.CSV)) as stopped:
            async for block in stopped:
                if len(block) > 1_000_000:
                    break
        async with pool.connection() as connection:
            assert await (await connection.execute("SELECT 1")).fetchone() == (1,)


async def test_a_database_error_midway_breaks_the_export_off_visibly(database_url: str) -> None:
    tables = "CREATE TABLE pairs (a int, b text, words text, PRIMARY KEY (a, b))"
    async with table_site(database_url, tables, PAIRS) as site, open_pool(database_url, name="export", most=1) as pool:
        await execute(site.url, "INSERT INTO pairs SELECT i, i, 'x' FROM generate_series(1, 9000) i")
        async with pool.connection() as connection:
            table = await read_table(connection, PAIRS)
        fails = [sql.SQL("CASE WHEN a = 8000 THEN 1 / (a - 8000) ELSE a END")]
        with pytest.raises(psycopg.errors.DivisionByZero):
            async for _ in Export(pool, table, ExportQuery(("a", "b")), values=fails).pages(PageText.CSV):
                pass
        columns = [("a", "text")]
        pages = Export(pool, table, ExportQuery(("a", "b")), values=fails).pages(PageText.CSV)
        with pytest.raises(psycopg.errors.DivisionByZero):
            async for _ in written_file(FileFormat.XLSX, columns, pages):
                pass
        with pytest.raises(ServiceUnavailable, match="no_such_folder"):
            async for _ in written_file(FileFormat.XLSX, columns, pages, folder="/no_such_folder"):
                pass
