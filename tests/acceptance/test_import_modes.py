"""`?mode=` in the catalogue: platforms are matched by name, commands by platform and how-to."""

import asyncio
from typing import Any

from catalogue_site import CatalogueSite, opened

from application_client import assert_problem
from import_steps import NDJSON, fetch, imported, messages, ndjson

PLATFORMS = "/api/platforms/bulk"
COMMANDS = "/api/commands/bulk"


def counts(job: dict[str, Any]) -> dict[str, int]:
    names = ("created", "updated", "unchanged", "skipped", "deleted")
    return {name: job[name] for name in names if job[name]}


async def _load(
    site: CatalogueSite, path: str, rows: list[dict[str, Any]], mode: str, more: str = ""
) -> dict[str, Any]:
    return await imported(site.ann, f"{path}?mode={mode}{more}", content=ndjson(rows), headers=NDJSON)


async def test_platforms_are_matched_by_name(site: CatalogueSite) -> None:
    names = [{"platformName": name} for name in ("Docker", "Git", "Docker")]
    assert counts(await _load(site, PLATFORMS, names, "insert")) == {"created": 3}
    assert counts(await _load(site, PLATFORMS, [*names, {"platformName": "Vim"}], "upsert")) == {
        "created": 1,
        "updated": 1,  # the first of the two rows of one name was overtaken
        "unchanged": 2,
    }
    job = await _load(site, PLATFORMS, [{"platformName": "Emacs"}], "update")
    assert counts(job) == {"skipped": 1}
    unkept = assert_problem(await site.ann.get(f"/api/imports/{job['id']}/results?format=csv"), 409)
    assert "send imports with ?results=ids" in unkept["detail"]
    job = await _load(site, PLATFORMS, [{"platformName": "Docker"}, {"platformName": "Nano"}], "skip", "&dryRun=true")
    assert (job["dryRun"], counts(job)) == (True, {"created": 1, "skipped": 1})
    for mode, expected in (("upsert", {"created": 1, "unchanged": 1}), ("update", {"unchanged": 1, "skipped": 1})):
        rows = [{"platformName": "Docker"}, {"platformName": "Nano"}]
        tried = await _load(site, PLATFORMS, rows, mode, "&dryRun=true")
        assert (tried["status"], counts(tried), tried["differences"]) == ("Completed", expected, [])
    unkept = assert_problem(await site.ann.get(f"/api/imports/{tried['id']}/results"), 409)
    assert "dry run" in unkept["detail"]
    assert "dry run" in assert_problem(await site.ann.post(f"/api/imports/{tried['id']}/undo"), 409)["detail"]
    job = await _load(site, PLATFORMS, [{"platformName": "Docker"}], "delete", "&results=ids")
    assert counts(job) == {"deleted": 1}
    results = (await site.ann.get(f"/api/imports/{job['id']}/results")).json()["items"]
    assert [(result["row"], result["outcome"]) for result in results] == [(1, "deleted")]
    left = await fetch(site.url, "SELECT id::text, platform_name FROM platforms ORDER BY id")
    # Of the two platforms of one name the one with the lower id was meant.
    assert [name for _, name in left] == ["Git", "Docker", "Vim"]
    assert results[0]["id"] not in {id_ for id_, _ in left}


async def test_commands_are_matched_by_platform_and_how_to(site: CatalogueSite) -> None:
    await _load(site, PLATFORMS, [{"platformName": "Git"}], "insert")
    rows = [{"howTo": "Commit", "commandLine": "git commit", "platformName": "Git"}]
    assert counts(await _load(site, COMMANDS, rows, "upsert")) == {"created": 1}
    rows[0]["commandLine"] = "git commit -m"
    job = await _load(site, COMMANDS, rows, "upsert", "&dryRun=true")
    assert job["differences"][0]["changes"] == [{"field": "commandLine", "old": "git commit", "new": "git commit -m"}]
    assert counts(await _load(site, COMMANDS, rows, "upsert")) == {"updated": 1}
    assert counts(await _load(site, COMMANDS, rows, "upsert")) == {"unchanged": 1}
    # Of long values the beginnings are shown, also where they do not differ.
    for end in "ab":
        rows[0]["commandLine"] = "x" * 5000 + end
        if end == "a":
            assert counts(await _load(site, COMMANDS, rows, "upsert")) == {"updated": 1}
    (change,) = (await _load(site, COMMANDS, rows, "upsert", "&dryRun=true"))["differences"][0]["changes"]
    assert change == {"field": "commandLine", "old": "x" * 1000 + "…", "new": "x" * 1000 + "…"}
    job = await _load(site, COMMANDS, [{"commandLine": "x", "platformName": "Git"}], "delete")
    assert await messages(site.ann, job["id"]) == {1: [("howTo", "howTo is required")]}
    assert counts(await _load(site, COMMANDS, [{"howTo": "Commit", "platformName": "Git"}], "delete")) == {"deleted": 1}
    assert await fetch(site.url, "SELECT count(*) FROM commands") == [(0,)]


async def test_an_envelope_accepts_a_mode(site: CatalogueSite) -> None:
    body = {"platforms": [{"platformName": "Docker"}]}
    for expected in ({"created": 1}, {"unchanged": 1}):
        assert counts(await imported(site.ann, f"{PLATFORMS}?mode=upsert", json=body)) == expected
    answer = await site.ann.post(f"{PLATFORMS}?mode=replace", json=body)
    assert answer.status_code == 400
    assert "mode must be insert or upsert" in answer.json()["errors"]["mode"][0]


async def test_concurrent_upserts_of_the_same_platforms_create_no_duplicates(site: CatalogueSite) -> None:
    names = [{"platformName": f"P{i}"} for i in range(500)]
    jobs = await asyncio.gather(*(_load(site, PLATFORMS, rows, "upsert") for rows in (names, names[::-1], names[250:])))
    assert {job["status"] for job in jobs} == {"Completed"}
    assert await fetch(site.url, "SELECT count(*), count(DISTINCT platform_name) FROM platforms") == [(500, 500)]


async def test_an_import_can_be_undone(site: CatalogueSite) -> None:
    job = await imported(site.ann, PLATFORMS, json={"platforms": [{"platformName": "A"}, {"platformName": "B"}]})
    await fetch(site.url, "UPDATE platforms SET platform_name = 'B2' WHERE platform_name = 'B' RETURNING id")
    answer = await site.ann.post(f"/api/imports/{job['id']}/undo")
    assert answer.status_code == 200, answer.text
    assert (answer.json()["undone"]["removed"], answer.json()["undone"]["kept"]) == (1, 1)
    assert await fetch(site.url, "SELECT platform_name FROM platforms") == [("B2",)]


async def test_an_undo_keeps_commands_added_after_the_import(site: CatalogueSite) -> None:
    job = await imported(site.ann, PLATFORMS, json={"platforms": [{"platformName": "A"}, {"platformName": "B"}]})
    command = {"howTo": "x", "commandLine": "y", "platformName": "A"}
    added = await imported(site.bob, COMMANDS, content=ndjson([command]), headers=NDJSON)
    assert added["successCount"] == 1
    undone = (await site.ann.post(f"/api/imports/{job['id']}/undo")).json()["undone"]
    assert (undone["removed"], undone["kept"]) == (1, 1)
    assert undone["reasons"] == [{"reason": "rows that others have added since refer to it", "rows": 1}]
    assert await fetch(site.url, "SELECT platform_name FROM platforms") == [("A",)]
    assert await fetch(site.url, "SELECT how_to FROM commands") == [("x",)]


async def test_an_undo_restores_old_values_where_they_were_recorded(database_url: str) -> None:
    async with opened(database_url, undo="full") as site:
        await _load(site, PLATFORMS, [{"platformName": "Git"}], "insert")
        rows = [{"howTo": "Commit", "commandLine": "git commit", "platformName": "Git"}]
        await _load(site, COMMANDS, rows, "insert")
        job = await _load(site, COMMANDS, [rows[0] | {"commandLine": "git commit -m"}], "upsert")
        undone = (await site.ann.post(f"/api/imports/{job['id']}/undo")).json()["undone"]
        assert (undone["restored"], undone["notRestored"]) == (1, 0)
        assert await fetch(site.url, "SELECT command_line FROM commands") == [("git commit",)]
