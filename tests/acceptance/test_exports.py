"""Exports that can be imported again, and descriptions of resources for clients."""

import csv
import io
import json

import msgspec
import openpyxl
import pytest
from catalogue_site import PLATFORMS, CatalogueSite, platforms

from application_client import assert_problem
from bulkport.imports.exports import pages
from each_case import case
from import_steps import CSV, NDJSON, XLSX, execute, fetch, imported, ndjson

NASTY = [
    "Docker",
    "a,b",
    'quote " in',
    "line\nend",
    "tab\there",
    "back\\slash \\n",
    "'x'",
    "Zürich",
    "日本語",
    "😀",
    "\\.",
    "NULL",
]
MEDIA_TYPES = {"csv": "text/csv", "ndjson": "application/x-ndjson"}


@pytest.mark.parametrize("export_format", ["csv", "ndjson"])
async def test_an_export_imports_again_with_equal_values(site: CatalogueSite, export_format: str) -> None:
    await imported(site.ann, PLATFORMS, json={"platforms": [{"platformName": name} for name in NASTY]})
    commands = [{"howTo": name, "commandLine": name * 3, "platformId": 1 + i % 3} for i, name in enumerate(NASTY)]
    await imported(site.ann, "/api/commands/bulk", content=ndjson(commands), headers=NDJSON)
    for resource, columns in (("platforms", "platform_name"), ("commands", "how_to, command_line, platform_id")):
        select = f"SELECT {columns} FROM {resource} ORDER BY id"
        before = await fetch(site.url, select)
        answer = await site.ann.get(f"/api/{resource}/export", params={"format": export_format})
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(MEDIA_TYPES[export_format])
        assert answer.headers["content-disposition"] == f'attachment; filename="{resource}.{export_format}"'
        headers = {"csv": CSV, "ndjson": NDJSON}[export_format]
        job = await imported(site.ann, f"/api/{resource}/bulk", content=answer.content, headers=headers)
        # CSV cannot tell the text NULL from a null that was written so, and asks.
        asks = {"csv": "NULL, which were read as text", "ndjson": "nothing"}[export_format]
        assert (job["status"], [told for told in job["warnings"] if asks not in told]) == ("Completed", [])
        assert await fetch(site.url, select) == before * 2


async def test_an_export_of_many_pages_contains_each_row_once_in_order(site: CatalogueSite) -> None:
    await imported(site.ann, PLATFORMS, content=ndjson(platforms(45_000)), headers=NDJSON)
    answer = await site.ann.get("/api/platforms/export?format=ndjson")
    names = [json.loads(line)["platformName"] for line in answer.text.splitlines()]
    assert sorted(names) == sorted(platform["platformName"] for platform in platforms(45_000))
    assert [(name,) for name in names] == await fetch(site.url, "SELECT platform_name FROM platforms ORDER BY id")
    found = await site.ann.get("/api/platforms/export?format=csv&search=FORM%204499")
    header, *rows = csv.reader(io.StringIO(found.text))
    assert header == ["platformName"]
    assert sorted(rows) == [["Platform 4499"], *[[f"Platform 4499{digit}"] for digit in range(10)]]


_ODD_IDS = """
    INSERT INTO platforms (id, platform_name) OVERRIDING SYSTEM VALUE
    SELECT id, id::text FROM (
        SELECT n FROM generate_series(-9223372036854775808, -9223372036854775000) n
        UNION ALL SELECT n FROM generate_series(1, 9000) n
        UNION ALL SELECT 9000 + 5 * n FROM generate_series(1, 3000) n
        UNION ALL SELECT 1000000000000 + n FROM generate_series(1, 9000) n
        UNION ALL SELECT n FROM generate_series(9223372036854775000, 9223372036854775807) n
    ) AS odd (id)
"""


async def test_export_pages_handle_gaps_and_extreme_ids(site: CatalogueSite) -> None:
    await execute(site.url, _ODD_IDS)
    for order, descending in (("ASC", "false"), ("DESC", "true")):
        answer = await site.ann.get(f"/api/platforms/export?format=csv&sortBy=id&descending={descending}")
        rows = await fetch(site.url, f"SELECT platform_name FROM platforms ORDER BY id {order}")
        assert answer.text.split()[1:] == [name for (name,) in rows], order


async def test_a_search_finds_exactly_the_matching_rows(site: CatalogueSite) -> None:
    for search in ["100%", "a_b", "back\\slash", "'; DROP TABLE platforms; --"]:
        with case(search):
            await imported(site.ann, PLATFORMS, json={"platforms": [{"platformName": f"x {search} y"}, *platforms(3)]})
            answer = await site.ann.get("/api/platforms/export", params={"format": "ndjson", "search": search})
            assert [msgspec.json.decode(line)["platformName"] for line in answer.content.splitlines()] == [
                f"x {search} y"
            ]


async def test_an_export_follows_the_accept_header(site: CatalogueSite) -> None:
    for accept, suffix in (
        ("*/*", "csv"),
        ("application/json, application/x-ndjson;q=0.5", "ndjson"),
        ("image/png", "csv"),
    ):
        answer = await site.ann.get("/api/platforms/export", headers={"accept": accept})
        assert f"platforms.{suffix}" in answer.headers["content-disposition"], accept


async def test_an_empty_export_is_just_a_header(site: CatalogueSite) -> None:
    assert (await site.ann.get("/api/platforms/export")).text == "platformName\n"
    assert (await site.ann.get("/api/platforms/export?format=ndjson")).text == ""


async def test_an_impossible_export_is_rejected(site: CatalogueSite) -> None:
    for query in ["format=pdf", "format=CSV", f"search={'x' * 1001}", "search=a%00b"]:
        with case(query):
            problem = assert_problem(await site.ann.get(f"/api/platforms/export?{query}"), 400)
            assert list(problem["errors"]) == [query.partition("=")[0]]


async def test_exports_and_schemas_need_a_key(site: CatalogueSite) -> None:
    for path in ("export", "bulk/schema", "bulk/template.csv", "bulk/template.xlsx"):
        assert_problem(await site.stranger.get(f"/api/platforms/{path}"), 401)


async def test_a_schema_describes_a_record(site: CatalogueSite) -> None:
    answer = await site.ann.get("/api/commands/bulk/schema")
    assert answer.headers["content-type"] == "application/schema+json"
    schema = answer.json()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"] == "Command"
    assert schema["required"] == ["howTo", "commandLine"]
    assert schema["properties"]["howTo"]["maxLength"] == 250
    assert schema["allOf"] == [{"anyOf": [{"required": ["platformId"]}, {"required": ["platformName"]}]}]
    more = schema["x-bulkport"]
    assert more["limits"]["maxEnvelopeRecords"] == 1000
    assert (more["modes"], more["defaultMode"]) == (["insert", "upsert", "update", "skip", "delete"], "insert")
    assert (more["key"], more["aliases"]) == (["platformId", "howTo"], {})
    assert more["references"] == [{"field": "platformId", "label": "Platform", "lookupField": "platformName"}]
    assert "text/csv" in more["mediaTypes"]


async def test_a_template_can_be_imported_unchanged(site: CatalogueSite) -> None:
    for resource in ("platforms", "commands"):
        template = await site.ann.get(f"/api/{resource}/bulk/template.csv")
        assert template.headers["content-disposition"] == f'attachment; filename="{resource}-template.csv"'
        job = await imported(site.ann, f"/api/{resource}/bulk", content=template.content, headers=CSV)
        assert (job["status"], job["successCount"]) == ("Completed", 1)


@pytest.mark.parametrize("resource", ["platforms", "commands"])
async def test_a_template_workbook_can_be_imported_unchanged_and_describes_the_fields(
    site: CatalogueSite, resource: str
) -> None:
    await imported(site.ann, PLATFORMS, json={"platforms": [{"platformName": "Docker"}]})
    template = await site.ann.get(f"/api/{resource}/bulk/template.xlsx")
    assert template.headers["content-type"] == XLSX["content-type"]
    assert template.headers["content-disposition"] == f'attachment; filename="{resource}-template.xlsx"'
    book = openpyxl.load_workbook(io.BytesIO(template.content))
    described = {row[0]: row[1:4] for row in book["Fields"].iter_rows(values_only=True)}
    name = {"platforms": "platformName", "commands": "howTo"}[resource]
    assert described[name] == (
        "yes",
        "string",
        f"at most {100 if resource == 'platforms' else 250} characters; not blank",
    )
    job = await imported(site.ann, f"/api/{resource}/bulk", content=template.content, headers=XLSX)
    assert (job["status"], job["successCount"]) == ("Completed", 1)


@pytest.mark.parametrize("export_format", ["csv", "ndjson"])
@pytest.mark.parametrize("descending", ["false", "true"])
async def test_an_export_is_sorted_like_the_list_across_its_pages(
    site: CatalogueSite, export_format: str, descending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "_FIRST_PAGE_ROWS", 7)
    monkeypatch.setattr(pages, "_MAX_PAGE_ROWS", 7)
    names = [f"name {i * 7 % 20:02}" for i in range(60)]  # each three times
    await imported(site.ann, PLATFORMS, json={"platforms": [{"platformName": name} for name in names]})
    query = {"format": export_format, "sortBy": "platformName", "descending": descending}
    answer = await site.ann.get("/api/platforms/export", params=query)
    assert answer.status_code == 200, answer.text
    lines = answer.text.splitlines()
    found = [json.loads(line)["platformName"] for line in lines] if export_format == "ndjson" else lines[1:]
    assert found == sorted(names, reverse=descending == "true")
    found = (await site.ann.get("/api/platforms/export?format=csv&sortBy=createdAt")).text.splitlines()[1:]
    assert sorted(found) == sorted(names)
    answer = await site.ann.get("/api/platforms/export?sortBy=colour")
    assert assert_problem(answer, 400)["errors"] == {"sortBy": ["sortBy must be one of createdAt, id, platformName"]}
