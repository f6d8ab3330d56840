# ruff: noqa: RUF001 # texts as people have them are what is tested
"""Real-world files over HTTP are read correctly with notes, or rejected clearly; nothing is lost silently."""

import csv
import io
import json
from random import Random
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from catalogue_site import COMMANDS, EVERYTHING, PLATFORMS, CatalogueSite, emptied

from application_client import assert_problem
from import_steps import CSV, NDJSON, bad_rows, fetch, imported, settled

pytestmark = pytest.mark.asyncio(loop_scope="module")

UTF_8_HEADER = "platform name,note\r\n"


@pytest.fixture
def site(shared_site: CatalogueSite) -> CatalogueSite:
    return emptied(shared_site)


@pytest.fixture
def idle_site(shared_idle_site: CatalogueSite) -> CatalogueSite:
    return emptied(shared_idle_site, EVERYTHING)


async def names(site: CatalogueSite) -> list[str]:
    """The platforms in the table, in order."""
    return [name for (name,) in await fetch(site.url, "SELECT platform_name FROM platforms ORDER BY id")]


async def test_windows_1252_is_detected_and_reported(site: CatalogueSite) -> None:
    body = (UTF_8_HEADER + "T A – B,x\r\nT plain,y\r\nT Müller,z\r\n").encode("cp1252")
    job = await imported(site.ann, PLATFORMS, content=body, headers=CSV)
    assert job["status"] == "Completed"
    assert await names(site) == ["T A – B", "T plain", "T Müller"]
    assert job["reading"]["encoding"] == "windows-1252"
    assert any("line 2" in warning and "charset=windows-1252" in warning for warning in job["warnings"])


async def test_stray_bytes_in_utf8_are_reported_with_the_likely_charset(site: CatalogueSite) -> None:
    body = (UTF_8_HEADER + "T Zürich,ö\r\nT Ägypten,x\r\n").encode() + b"T M\xfcller,z\r\n"
    job = await imported(site.ann, PLATFORMS, content=body, headers=CSV)
    assert (job["status"], job["successCount"]) == ("PartialSuccess", 2)
    (row,) = await bad_rows(site.ann, job["id"])
    assert row["record"] == "T M\\xFCller,z"
    message = row["errors"][0]["message"]
    assert message.startswith("the row is not valid UTF-8")
    assert "charset=windows-1252" in message
    assert "save the file as UTF-8" in message

    lines = '{"platformName": "Zürich"}\n'.encode() + b'{"platformName": "M\xfcller"}\n'
    job = await imported(site.ann, PLATFORMS, content=lines, headers=NDJSON)
    (row,) = await bad_rows(site.ann, job["id"])
    assert row["record"] == '{"platformName": "M\\xFCller"}'
    assert "0xfc" in row["errors"][0]["message"].lower()


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/csv; charset=utf-16", "platform name\nT ü\n".encode("utf-16")),
        ("text/csv; charset=latin-1", "platform name\nT ü\n".encode("latin-1")),
        ("text/tab-separated-values", "platform name\tnote\nT ü\tx\n".encode()),
        ("application/vnd.ms-excel", "platform name;note\nT ü;x\n".encode()),
        ("application/jsonl", '{"platformName": "T ü"}\n'.encode()),
        ("application/x-ndjson", '{"platformName": "T ü"}\n'.encode("utf-16")),
        ("application/json-seq", '\x1e{"platformName":\n"T ü"}\n'.encode()),
        ("application/json", '[\n {"platformName": "T ü"}\n]\n'.encode()),
        ("text/csv", "sep=;\nplatform name;note\nT ü;x\n;\n".encode()),
        ("text/csv", 'platform name,note\r"T ü","x\ry"\r'.encode()),
        ("text/csv", "\ufeffplatform\u200b name,note\nT ü,x\n\x1a".encode()),
        ("text/csv", "All platforms,\n,\nplatform name,note\nT ü,x\n".encode()),
    ],
)
async def test_every_kind_of_body_is_read(site: CatalogueSite, content_type: str, body: bytes) -> None:
    job = await imported(site.ann, PLATFORMS, content=body, headers={"content-type": content_type})
    assert (job["status"], job["successCount"], job["failureCount"]) == ("Completed", 1, 0), job
    assert await names(site) == ["T ü"]
    if content_type != "application/json":
        assert "encoding" in job["reading"]


async def test_a_form_with_a_file_is_read(site: CatalogueSite) -> None:
    async def sent(name: str, content: bytes, type_: str, data: dict[str, str] | None = None) -> dict[str, Any]:
        answer = await site.ann.post(PLATFORMS, files={"file": (name, content, type_)}, data=data or {})
        assert answer.status_code == 202, answer.text
        return await settled(site.ann, answer.json()["id"])

    job = await sent("C:\\rows.csv", b"platform name;note\nA;x\n", "text/csv")
    assert (job["successCount"], job["fileName"], job["format"]) == (1, "rows.csv", "csv")
    job = await sent("lines.jsonl", b'{"platformName": "B"}\n', "application/octet-stream")
    assert (job["successCount"], job["format"]) == (1, "ndjson")
    job = await sent("rows.txt", "platform name\nÜ\n".encode("cp1252"), "text/plain", {"charset": "windows-1252"})
    assert job["reading"]["encoding"] == "windows-1252"
    assert await names(site) == ["A", "B", "Ü"]

    answer = await site.ann.post(PLATFORMS, files={"file": ("rows.pdf", b"%PDF", "application/pdf")})
    assert "name it .csv" in assert_problem(answer, 415)["detail"]
    answer = await site.ann.post(PLATFORMS, files={"note": (None, b"x")})
    assert "The form has no file" in assert_problem(answer, 400)["detail"]
    two = [("file", ("a.csv", b"platform name\nA\n")), ("file", ("b.csv", b"platform name\nB\n"))]
    assert "more than one file" in assert_problem(await site.ann.post(PLATFORMS, files=two), 400)["detail"]
    cut = b'--x\r\ncontent-disposition: form-data; name="file"; filename="a.csv"\r\n\r\nplatform name\nA\n'
    headers = {"content-type": "multipart/form-data; boundary=x"}
    assert_problem(await site.ann.post(PLATFORMS, content=cut, headers=headers), 400)
    assert await names(site) == ["A", "B", "Ü"]


DISPOSITION = 'content-disposition: form-data; name="{}"'


def _form(*parts: tuple[str, bytes], before: bytes = b"") -> bytes:
    """A form of parts with these headers, for the boundary `x`."""
    text = b"".join(b"--x\r\n" + headers.encode() + b"\r\n\r\n" + content + b"\r\n" for headers, content in parts)
    return before + text + b"--x--\r\n"


FILE = DISPOSITION.format("file")
ROWS = b"platform name;n\nA;1\n"


@pytest.mark.parametrize(
    ("body", "file_name"),
    [
        (_form((FILE + '; filename="a.csv"', ROWS), before=b"This is a form.\r\n"), "a.csv"),
        (_form((FILE + "; filename*=UTF-8''%C3%BC.csv", ROWS)), "ü.csv"),
        (_form((FILE + "; filename=\"x.csv\"; filename*=iso-8859-1'en'%FC.csv", ROWS)), "ü.csv"),
        (_form((FILE + "\r\ncontent-type: text/csv", ROWS)), None),
        (
            _form(
                (DISPOSITION.format("other") + '; filename=""\r\ncontent-type: application/octet-stream', b""),
                (FILE + '; filename="a.csv"', ROWS),
                (DISPOSITION.format("third") + '; filename=""', b""),
            ),
            "a.csv",
        ),
        (
            _form(
                (DISPOSITION.format("metadata") + "\r\ncontent-type: application/json", b'{"a": 1}'),
                (DISPOSITION.format("upload") + '; filename="a.csv"', ROWS),
                (DISPOSITION.format("note"), b"thanks"),
            ),
            "a.csv",
        ),
    ],
    ids=["preamble", "extended name", "both names", "no name", "inputs without a file", "other fields"],
)
async def test_forms_from_every_common_client_are_read(site: CatalogueSite, body: bytes, file_name: str | None) -> None:
    headers = {"content-type": "multipart/form-data; boundary=x"}
    job = await imported(site.ann, PLATFORMS, content=body, headers=headers)
    assert (job["status"], job["fileName"]) == ("Completed", file_name)
    assert await names(site) == ["A"]
    assert job["metadata"] == ({"a": 1} if b"metadata" in body else None)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (
            _form((FILE + '; filename="a.csv"', b"what\nA\n"), (DISPOSITION.format("map"), b"what:platformName")),
            400,
            "The form's field map comes after the file",
        ),
        (
            _form((FILE + '; filename="a.csv"\r\ncontent-transfer-encoding: base64', b"cGxhdGZvcm0=")),
            415,
            "send its bytes as they are",
        ),
        (_form((FILE + '; filename=""', b"")), 400, "The form has no file"),
        (
            _form((FILE + '; filename="a.csv"', ROWS), (DISPOSITION.format("clientId"), b"7")),
            400,
            "The form's field clientId comes after the file",
        ),
        (
            _form((DISPOSITION.format("mode"), b"upsert"), (FILE + '; filename="a.csv"', ROWS)),
            400,
            "pass it as a query parameter, ?mode=…",
        ),
        (
            _form((DISPOSITION.format("metadata"), b"[1]"), (FILE + '; filename="a.csv"', ROWS)),
            400,
            "metadata must be a JSON object",
        ),
    ],
)
async def test_an_unsupported_form_is_rejected_with_a_clear_message(
    site: CatalogueSite, body: bytes, status: int, message: str
) -> None:
    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = await site.ann.post(PLATFORMS, content=body, headers=headers)
    problem = assert_problem(answer, status)
    assert message in f"{problem['detail']} {problem.get('errors')}"
    assert await names(site) == []


@pytest.mark.parametrize("text", ['{"platforms": [{"platformName": "Tü"}]}', '[{"platformName": "Tü"}]'])
@pytest.mark.parametrize(
    ("charset", "content_type"),
    [
        ("utf-8-sig", "application/json"),
        ("utf-8-sig", "application/json; charset=latin-1"),
        ("utf-16", "application/json; charset=utf-16"),
        ("utf-16-be", "application/json; charset=utf-16"),
        ("utf-32", "application/json; charset=utf-32"),
        ("latin-1", "application/json; charset=iso-8859-1"),
        ("mac_roman", "application/json; charset=macintosh"),
    ],
)
async def test_json_in_any_charset_is_read(site: CatalogueSite, text: str, charset: str, content_type: str) -> None:
    headers = {"content-type": content_type}
    job = await imported(site.ann, PLATFORMS, content=text.encode(charset), headers=headers)
    assert (job["status"], await names(site)) == ("Completed", ["Tü"])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"platforms": [{"platformName": "Zürich"}]}'.encode("cp1252"), "which is 'ü' in windows-1252"),
        (b'[{"platformName": "A"},]', "no trailing comma"),
        (b'[{"platformName": "A"}] x', "something follows the end of the array"),
        (b'[{"platformName": "A"}, {"platf', "the array is not closed"),
        (b"[]", "The body contains no records"),
        (b'{"platformName": "A"}{"platformName": "B"}', "several JSON texts, one after the other"),
        (b'{"platforms": [{"platformName": NaN}]}', "NaN is not a JSON number"),
        (b'{"platforms": [{"platformName": "A\\ud800"}]}', "a lone surrogate is not a character"),
        (b'[{"platformName": "A\\ud800"}]', "a lone surrogate is not a character"),
        (b"{'platforms': [{'platformName': 'A'}]}", "object keys must be strings"),
        (b"platform name;note\nA;x\n", "send it as text/csv"),
        (b'[{"platformName": ' + b"[" * 2000 + b"]" * 2000 + b"}]", "nested too deeply"),
        (b'{"platforms": [{"platformName": ' + b"[" * 2000 + b"]" * 2000 + b"}]}", "nested too deeply"),
    ],
)
async def test_invalid_json_is_rejected_with_a_guess_at_its_format(
    idle_site: CatalogueSite, body: bytes, message: str
) -> None:
    answer = await idle_site.ann.post(PLATFORMS, content=body, headers={"content-type": "application/json"})
    assert message in assert_problem(answer, 400)["detail"]


async def test_json_of_the_wrong_shape_is_named(site: CatalogueSite) -> None:
    lines = b'{"platformName": "A"}\n{"platformName": "B"}\n'
    answer = await site.ann.post(PLATFORMS, content=lines, headers={"content-type": "application/json"})
    assert "application/x-ndjson" in assert_problem(answer, 400)["detail"]
    answer = await site.ann.post(PLATFORMS, content=b'{\n "platformName": "A"\n}', headers=NDJSON)
    assert "one line" in assert_problem(answer, 400)["detail"]


async def test_an_array_may_be_longer_than_an_envelope(site: CatalogueSite) -> None:
    rows = [{"platformName": f"P {number}"} for number in range(3000)] + [{"platformName": ""}]
    job = await imported(site.ann, PLATFORMS, json=rows)
    assert (job["status"], job["successCount"], job["failureCount"]) == ("PartialSuccess", 3000, 1)
    assert job["format"] == "json-array"


async def test_columns_can_be_renamed_and_filled_with_constants(site: CatalogueSite) -> None:
    await imported(site.ann, PLATFORMS, json={"platforms": [{"platformName": "Git"}]})
    job = await imported(
        site.ann,
        COMMANDS,
        content=b"What;Line\nsee the log;git log\n",
        headers=CSV,
        params=[("map", "What:howTo"), ("map", "Line:commandLine"), ("set", "platformName:Git")],
    )
    assert job["status"] == "Completed", job
    assert job["reading"]["map"] == {"What": "howTo", "Line": "commandLine"}
    answer = await site.ann.post(COMMANDS, content=b"how to do,commandLine,platformId\na,b,1\n", headers=CSV)
    assert "Did you mean howTo by 'how to do'?" in assert_problem(answer, 400)["detail"]
    answer = await site.ann.post(PLATFORMS, content=b"x\n", headers=CSV, params={"map": "x:nothing"})
    assert "has no field 'nothing'" in assert_problem(answer, 400)["detail"]


async def test_an_unchanged_report_is_rejected_again(site: CatalogueSite) -> None:
    body = (
        UTF_8_HEADER.encode()
        + b'T a,x,extra\r\nT b\r\n"T 5" c,x\r\n  ,y\r\n'
        + "Tü,".encode()
        + b"\xfc\r\n=1+1,-x,,,1\r\n"
    )

    async def report(job: dict[str, Any], **query: str) -> str:
        answer = await site.ann.get(f"/api/imports/{job['id']}/errors", headers={"accept": "text/csv"}, params=query)
        assert answer.status_code == 200
        return answer.text

    job = await imported(site.ann, PLATFORMS, content=body, headers=CSV)
    assert job["failureCount"] == 6
    told = await bad_rows(site.ann, job["id"])
    for query in ({}, {"neutralize": "true"}):
        text = await report(job, **query)
        again = await imported(site.ann, PLATFORMS, content=text.encode(), headers=CSV)
        assert (again["successCount"], again["failureCount"]) == (0, 6)
        assert again["warnings"] == ["Unknown fields were ignored: note"]
        told_again = await bad_rows(site.ann, again["id"])
        unreadable = [row["record"] for row in told if isinstance(row["record"], str)]
        assert [row["record"] for row in told_again if isinstance(row["record"], str)] == unreadable
        assert [row["errors"] for row in told_again] == [row["errors"] for row in told]
    rows = list(csv.reader(io.StringIO(await report(job, neutralize="true"))))
    assert rows[0][-3:] == ["row", "error", "neutralized"]
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)
    assert await names(site) == []


async def test_the_api_description_names_every_kind_of_body(site: CatalogueSite) -> None:
    described = (await site.ann.get("/openapi.json")).json()["paths"][PLATFORMS]["post"]
    assert {"multipart/form-data", "application/vnd.apache.parquet"} <= described["requestBody"]["content"].keys()
    assert {"charset", "map", "decimal"} <= {parameter["name"] for parameter in described["parameters"]}
    assert json.dumps(described)


async def test_curl_imports_a_file_without_any_setting(site: CatalogueSite) -> None:
    form = httpx.Request("POST", "http://x", files={"file": ("r.csv", b"platform name\nA\n")})
    job_type = form.headers["content-type"]
    job = await imported(site.ann, PLATFORMS, content=form.read(), headers={"content-type": job_type})
    assert job["successCount"] == 1


async def test_parquet_is_read(site: CatalogueSite) -> None:
    file = io.BytesIO()
    pq.write_table(pa.table({"platformName": ["A", "Ü", None]}), file)
    headers = {
        "content-type": "application/vnd.apache.parquet",
        "content-disposition": 'attachment; filename="p.parquet"',
    }
    job = await imported(site.ann, PLATFORMS, content=file.getvalue(), headers=headers)
    assert (job["successCount"], job["failureCount"], job["format"]) == (2, 1, "parquet")
    assert job["fileName"] == "p.parquet"
    assert await names(site) == ["A", "Ü"]


async def test_no_body_or_parameter_causes_a_server_error(idle_site: CatalogueSite) -> None:
    random = Random(7)
    types = [
        "text/csv", "text/csv; charset=shift_jis", "application/x-ndjson", "application/json", "application/json-seq",
        "application/vnd.ms-excel", "application/vnd.apache.parquet", "multipart/form-data; boundary=b",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "text/csv; charset=utf-16",
    ]  # fmt: skip
    starts = [
        b"", b"platform name,note\n", b"sep=;\n", b"[{", b'{"platforms":[', b"\xff\xfe", b"\x1e{", b"PK\x03\x04",
        b"PAR1",
        b'--b\r\ncontent-disposition: form-data; name="f"; filename="a.csv"\r\n\r\n', b"\xef\xbb\xbf", b"a\0\0\0",
    ]  # fmt: skip
    queries = [
        {}, {"escape": "\\"}, {"quote": "'"}, {"comment": "#"}, {"skipRows": "1"}, {"headerRow": "2"}, {"dataRow": "9"},
        {"charset": "utf-32"}, {"charset": "hz"}, {"map": "a:platformName"},
        {"set": "platformName:x"},
        {"sheet": "x"}, {"neutralize": "true"},
        {"charset": "utf-16", "delimiter": ";"}, {"map": "\0:x"}, {"charset": "cp037"},
    ]  # fmt: skip
    signs = [
        b"a",
        b"\n",
        b"\r",
        b'"',
        b",",
        b";",
        b"\\",
        b"'",
        b"{",
        b"}",
        b"]",
        b"\xfc",
        b"\xe3\x81",
        b"\0",
        b" ",
        b"--b",
    ]
    for _ in range(120):
        body = random.choice(starts) + b"".join(random.choices(signs, k=random.randrange(40)))
        answer = await idle_site.ann.post(
            PLATFORMS, content=body, headers={"content-type": random.choice(types)}, params=random.choice(queries)
        )
        assert answer.status_code < 500, (body, answer.request.url, answer.request.headers, answer.text)
