# ruff: noqa: RUF001 # texts as people have them are what is tested
"""Files as people report them are read correctly, or rejected with a message that says what to do."""

from dataclasses import dataclass, field
from typing import Any

from catalogue_site import COMMANDS, PLATFORMS, CatalogueSite

from application_client import assert_problem
from import_steps import bad_rows, execute, fetch, settled

CSV, NDJSON, JSON = "text/csv", "application/x-ndjson", "application/json"
HEADER = "platform name,note\r\n"


@dataclass(frozen=True)
class Reported:
    """A body and the expected result."""

    body: str | bytes
    names: list[str] = field(default_factory=list)
    """Platforms that are stored, in order."""
    bad: dict[int, str] = field(default_factory=dict)
    """What the message of each bad row has in it, by number."""
    warnings: tuple[str, ...] = ()
    """What the warnings have in them, in order."""
    refused: str = ""
    """What the detail of a 400 has in it."""
    type: str = CSV
    query: str = ""
    path: str = PLATFORMS


IGNORED = "Unknown fields were ignored: note"
REPORTED = {
    "one en dash and one umlaut in Windows-1252": Reported(
        (HEADER + "T A – B,x\r\nT plain,y\r\nT Müller,z\r\n").encode("cp1252"),
        ["T A – B", "T plain", "T Müller"],
        warnings=("charset=windows-1252", IGNORED),
    ),
    "Windows-1252 among UTF-8": Reported(
        HEADER.encode() + "T Zürich,ü\r\nT Ägypten,ä\r\n".encode() + b"T M\xfcller,z\r\n",
        ["T Zürich", "T Ägypten"],
        {3: "is not valid UTF-8: byte 0xFC at character 4, which is 'ü' in windows-1252; save the file as UTF-8"},
        (IGNORED,),
    ),
    "a header with an umlaut in Windows-1252": Reported(
        "platform name,Größe\r\nT,1\r\n".encode("cp1252"),
        ["T"],
        warnings=("charset=windows-1252", "Unknown fields were ignored: Größe"),
    ),
    "a header in Windows-1252 above UTF-8": Reported(
        b"platform name,Gr\xf6\xdfe\r\n" + "T Zürich,ä\r\nT Ägypten,ö\r\n".encode(),
        refused="save the file as UTF-8, or send charset=windows-1252",
    ),
    "sep=; with delimiter=;": Reported(
        "sep=;\r\nplatform name;note\r\nT;x\r\n", ["T"], warnings=(IGNORED,), query="?delimiter=;"
    ),
    "sep=; alone": Reported("sep=;\r\nplatform name;note\r\nT;x\r\n", ["T"], warnings=(IGNORED,)),
    "sep=; against delimiter=,": Reported(
        "sep=;\r\nplatform name;note\r\nT;x\r\n", refused="sep=;", query="?delimiter=,"
    ),
    "signs in the header that cannot be seen": Reported(
        "plat\u200bform\ufeff name\u00a0,note\r\nT,x\r\n", ["T"], warnings=(IGNORED,)
    ),
    "names of blanks that cannot be seen": Reported(
        f"{HEADER}\u00a0,x\r\n\u200b,y\r\n\u3000,z\r\nT,ok\r\n",
        ["T"],
        dict.fromkeys((1, 2, 3), "platformName must not be blank"),
        (IGNORED,),
    ),
    "carriage returns alone": Reported(
        'platform name,note\r"T a","x\ry"\rT b,z\r', ["T a", "T b"], warnings=(IGNORED,)
    ),
    "NDJSON with carriage returns alone": Reported(
        '{"platformName": "T a"}\r{"platformName": "T b"}\r', ["T a", "T b"], type=NDJSON
    ),
    "ghost rows": Reported(
        HEADER + "T a,x\r\nT b,y\r\n" + ",\r\n" * 4, ["T a", "T b"], warnings=("4 rows of empty cells", IGNORED)
    ),
    "a DOS end-of-file sign": Reported(HEADER + "T,x\r\n\x1a", ["T"], warnings=(IGNORED,)),
    "one pretty-printed object": Reported(
        '{\n  "platformName": "T"\n}\n', refused="each object on one line", type=NDJSON
    ),
    "a byte order mark before a later line": Reported(
        '{"platformName": "T a"}\n\ufeff{"platformName": "T b"}\n', ["T a", "T b"], warnings=("(U+FEFF)",), type=NDJSON
    ),
    "two files with their marks and headers": Reported(
        f"\ufeff{HEADER}T a,x\r\n\ufeff{HEADER}T b,y\r\n",
        ["T a", "T b"],
        warnings=("header row came once more", "(U+FEFF)", IGNORED),
    ),
    "NDJSON as application/json": Reported(
        '{"platformName": "T a"}\n{"platformName": "T b"}\n', refused="application/x-ndjson", type=JSON
    ),
    "digits with underscores": Reported(
        "how to,command line,platform id\na,b,1_40183\n",
        bad={1: "platformId must be a whole number, not '1_40183'; write it without underscores"},
        path=COMMANDS,
    ),
    "a name in the other normal form": Reported(
        '{"howTo": "a", "commandLine": "b", "platformName": "T Zu\u0308rich"}\n',
        bad={1: "U+0308"},
        type=NDJSON,
        path=COMMANDS,
    ),
    "rows of no value": Reported(
        "platform name,note\n,\nT,x\n , \n", ["T"], warnings=("2 rows of empty cells", IGNORED)
    ),
    "a title above the header": Reported(
        f"All platforms,\r\n,\r\n{HEADER}T,x\r\n", ["T"], warnings=("header row was found in row 3", IGNORED)
    ),
    "units below the header": Reported("platform name,note\n(text),[cm]\nT,3\n", ["T"], warnings=("units", IGNORED)),
    "keys that differ in blanks": Reported(
        '{"platformName": "x"}\n{"platformName": "x "}\n{"platformName": "x\u00a0"}\n',
        ["x", "x ", "x\u00a0"],
        warnings=("differ only in blanks",),
        type=NDJSON,
    ),
    "a member given twice": Reported(
        '{"platformName": "a", "platformName": "b"}\n', ["b"], warnings=("given twice",), type=NDJSON
    ),
    "members that are called otherwise": Reported(
        '{"platform_name": "T"}\n',
        bad={1: "platformName is required"},
        warnings=("platform_name (did you mean platformName?)",),
        type=NDJSON,
    ),
    "JSON lines": Reported('{"platformName": "T"}\n', ["T"], type="application/jsonl"),
}


async def test_reported_real_world_files_are_read(site: CatalogueSite) -> None:
    for name, case in REPORTED.items():
        await _try(site, name, case)


async def _try(site: CatalogueSite, name: str, case: Reported) -> None:
    body = case.body if isinstance(case.body, bytes) else case.body.encode()
    answer = await site.ann.post(case.path + case.query, content=body, headers={"content-type": case.type})
    if case.refused:
        assert case.refused in assert_problem(answer, 400)["detail"], name
        return
    assert answer.status_code == 202, (name, answer.text)
    job = await settled(site.ann, answer.json()["id"])
    found: dict[int, list[dict[str, Any]]] = {row["row"]: row["errors"] for row in await bad_rows(site.ann, job["id"])}
    assert found.keys() == case.bad.keys(), (name, found, job)
    for row, message in case.bad.items():
        assert message in found[row][0]["message"], (name, found)
    assert len(job["warnings"]) == len(case.warnings), (name, job["warnings"])
    for warning, part in zip(job["warnings"], case.warnings, strict=True):
        assert part in warning, (name, job["warnings"])
    stored = [row[0] for row in await fetch(site.url, "SELECT platform_name FROM platforms ORDER BY id")]
    assert stored == case.names, name
    await execute(site.url, "DELETE FROM platforms")
