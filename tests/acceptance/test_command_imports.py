"""Commands in bulk: platforms by id or by name, CSV in its dialects, unknown fields."""

from typing import Any

from catalogue_site import COMMANDS, PLATFORMS, CatalogueSite, opened

from import_steps import CSV, LENIENT, NDJSON, STRICT, accepted, execute, fetch, imported, messages, ndjson, settled

Stored = list[tuple[Any, ...]]


async def _add_platforms(url: str) -> None:
    await execute(url, "INSERT INTO platforms (id, platform_name) VALUES (7, 'Git'), (8, 'Docker'), (9, 'Git')")


async def _commands(url: str) -> Stored:
    return await fetch(url, "SELECT how_to, command_line, platform_id FROM commands ORDER BY id")


async def test_streamed_commands_name_their_platform(site: CatalogueSite) -> None:
    await _add_platforms(site.url)
    rows = [
        {"howTo": "a", "commandLine": "git init", "platformName": "Git"},
        {"howTo": "b", "commandLine": "docker ps", "platformId": 8},
        {"howTo": "c", "commandLine": "x", "platformName": "git"},
        {"howTo": "d", "commandLine": "x", "platformName": "Git", "platformId": 7},
        {"howTo": "e", "commandLine": "x", "platformId": 10},
        {"howTo": "f", "commandLine": "x"},
        {"howTo": "g", "commandLine": "x", "platformName": "nul \0"},
        {"howTo": "h", "commandLine": "x", "platformId": 2**63},
        {"howTo": "i", "commandLine": "docker\nps", "platformName": "Docker"},
    ]
    bad = {
        3: [("platformName", "Platform 'git' does not exist")],
        4: [("platformName", "platformName must not be given together with platformId")],
        5: [("platformId", "Platform 10 does not exist")],
        6: [("platformId", "platformId or platformName is required")],
    }
    good = [("a", "git init", 7), ("b", "docker ps", 8), ("i", "docker\nps", 8)]
    job = await imported(site.ann, COMMANDS, content=ndjson(rows), headers=NDJSON)
    found = await messages(site.ann, job["id"])
    assert sorted(found) == [3, 4, 5, 6, 7, 8]
    assert {row: found[row] for row in bad} == bad
    assert await _commands(site.url) == good

    await execute(site.url, "TRUNCATE commands")
    lines = "How To;command_line;PLATFORM-ID;platform name\r\na;git init;;Git\r\nb;docker ps;8;\r\nc;x;;git\r\n"
    lines += 'd;x;7;Git\r\ne;x;10;\r\nf;x;;\r\n\r\ni;"docker\nps";;Docker\r\n'
    job = await imported(site.ann, COMMANDS, params={"delimiter": ";"}, content=lines.encode(), headers=CSV)
    assert await messages(site.ann, job["id"]) == bad
    assert await _commands(site.url) == good

    job = await imported(site.ann, COMMANDS, content=ndjson(rows), headers={**NDJSON, **STRICT})
    assert (job["status"], job["successCount"], job["failureCount"]) == ("Failed", 0, 6)
    assert await _commands(site.url) == good


async def test_unknown_platforms_in_a_valid_envelope_are_row_errors(site: CatalogueSite) -> None:
    await _add_platforms(site.url)
    rows = [{"howTo": f"h{i}", "commandLine": "c", "platformId": i} for i in (7, 6)]
    job = await imported(site.ann, COMMANDS, json={"commands": rows})
    assert job["errorSummary"] == "Command 'h6': Platform 6 does not exist"
    assert await _commands(site.url) == [("h7", "c", 7)]


async def test_each_unknown_field_is_reported_once(database_url: str) -> None:
    async with opened(database_url, chunk_bytes=300) as site:
        rows: list[dict[str, Any]] = [{"platformName": f"P{i}", "zeta": {"a": [1]}} for i in range(50)]
        rows[30]["alpha"] = None
        rows[40]["platformName"] = ""
        rows[40]["beta"] = 1
        warning = ["Unknown fields were ignored: alpha, beta, zeta"]
        job = await imported(site.ann, PLATFORMS, content=ndjson(rows), headers=NDJSON)
        assert (job["status"], job["successCount"], job["warnings"]) == ("PartialSuccess", 49, warning)
        assert len(await fetch(site.url, "SELECT chunk_number FROM bulkport.import_chunks")) > 5
        job = await imported(site.ann, PLATFORMS, json={"platforms": rows}, headers=LENIENT)
        assert job["warnings"] == warning
        job = await imported(site.ann, PLATFORMS, json={"platforms": rows[:3]})
        assert (job["status"], job["warnings"]) == ("Completed", ["Unknown fields were ignored: zeta"])
        body = b"zeta,PLATFORM NAME,,zeta 2\n" + b"1,P,2,3\n" * 60
        job = await imported(site.ann, PLATFORMS, content=body, headers=CSV)
        assert (job["status"], job["warnings"]) == (
            "Completed",
            ["Unknown fields were ignored: zeta, (column 3), zeta 2"],
        )


async def test_platform_names_are_stored_as_sent(site: CatalogueSite) -> None:
    names = [
        "Docker",
        " padded ",
        'a "quoted"; | name',
        "tab\there",
        "back\\slash\\N",
        "\\.",
        "Größe 日本語 👩\u200d👧",
        "x" * 100,
    ]
    for headers, body in (
        (NDJSON, ndjson({"platformName": name} for name in names)),
        (CSV, ("platformName\n" + "".join('"' + name.replace('"', '""') + '"\n' for name in names)).encode()),
    ):
        job_id = await accepted(site.ann, PLATFORMS, content=body, headers=headers)
        assert (await settled(site.ann, job_id))["status"] == "Completed"
        assert await fetch(site.url, "SELECT platform_name FROM platforms ORDER BY id") == [(name,) for name in names]
        await execute(site.url, "TRUNCATE platforms CASCADE")
