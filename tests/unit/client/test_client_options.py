"""What the client's options become on the wire, and what it does where the server lacks something."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import msgspec
import pyarrow as pa
import pytest
from answering_server import ACCEPTED, Server, progress

from bulkport.client import BodyKind, Client, FileSource, Import
from bulkport.client.records import source_of


def test_options_become_query_parameters() -> None:
    server = Server(ACCEPTED)
    server.client().imports.create(
        "platforms",
        [{"platformName": "Docker"}],
        mode="upsert",
        dry_run=True,
        results=True,
        start_at=datetime(2026, 7, 1, 22, tzinfo=UTC),
        map={"Article no.": "sku", "a,b": "name"},
        charset="utf-16",
        null_words=["n/a", "-"],
    )
    params = server.requests[0].url.params
    assert params.get_list("map") == ["Article no.:sku", "a,b:name"]
    assert params.get_list("nullWords") == ["n/a", "-"]
    single = ("mode", "dryRun", "results", "startAt", "charset")
    assert [params[name] for name in single] == ["upsert", "true", "ids", "2026-07-01T22:00:00+00:00", "utf-16"]


def test_the_routes_and_the_authentication_header_are_configurable() -> None:
    server = Server(ACCEPTED, httpx.Response(200, json=progress("Completed", 2)))
    with Client("http://server", prefix="/v2/data/", headers={"Authorization": "Bearer x"}, transport=server) as client:
        client.imports.create("platforms", [{"platformName": "Docker"}]).refresh()
    assert [request.url.path for request in server.requests] == ["/v2/data/platforms/bulk", "/v2/data/imports/9"]
    assert {request.headers["authorization"] for request in server.requests} == {"Bearer x"}
    assert "x-api-key" not in server.requests[0].headers


@pytest.mark.parametrize("compress", [True, False, None])
def test_files_are_compressed_in_transit_if_requested(tmp_path: Path, compress: bool | None) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("platformName\nDocker\n")
    server = Server(ACCEPTED)
    server.client().imports.create("platforms", path, compress=compress)
    assert server.requests[0].headers.get("content-encoding") == ("gzip" if compress else None)


@pytest.mark.parametrize("status", [404, 405, 413, 501])
def test_a_large_file_is_sent_whole_if_the_server_supports_no_parts(tmp_path: Path, status: int) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("platformName\nDocker\n")
    server = Server(httpx.Response(status, json={}), ACCEPTED)
    with Client("http://server", api_key="key", resumable_bytes=10, transport=server) as client:
        assert client.imports.create("platforms", path).id == 9
    assert [request.url.path for request in server.requests] == ["/api/uploads", "/api/platforms/bulk"]


def test_with_a_callers_key_a_large_file_is_sent_whole(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("platformName\nDocker\n")
    server = Server(ACCEPTED)
    with Client("http://server", api_key="key", resumable_bytes=10, transport=server) as client:
        client.imports.create("platforms", path, idempotency_key="mine")
    assert [request.url.path for request in server.requests] == ["/api/platforms/bulk"]


def test_an_upload_in_parts_describes_itself_and_resumes(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("platformName\nDocker\n")
    size = path.stat().st_size
    server = Server(
        httpx.Response(201, headers={"location": "/somewhere/uploads/abc"}),
        httpx.ReadError("reset"),
        httpx.Response(200, headers={"upload-offset": "12"}),
        httpx.Response(503),
        httpx.Response(200, headers={"upload-offset": "12"}),
        httpx.Response(204, headers={"upload-offset": str(size)}),
        ACCEPTED,
    )
    with Client(
        "http://server", api_key="key", resumable_bytes=10, transport=server, sleep=server.waits.append
    ) as client:
        client.imports.create("platforms", path, name="July")
    steps = [(request.method, request.headers.get("upload-offset")) for request in server.requests]
    assert steps == [
        ("POST", None),
        ("PATCH", "0"),
        ("HEAD", None),
        ("PATCH", "12"),
        ("HEAD", None),
        ("PATCH", "12"),
        ("POST", None),
    ]
    assert server.bodies[-2:] == [b"\nDocker\n", b'{"upload": "abc"}']
    assert server.requests[-1].url.params["name"] == "July"
    assert len(server.waits) == 2


def test_retry_after_may_be_a_date() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=4), usegmt=True)
    server = Server(httpx.Response(503, headers={"retry-after": later}), ACCEPTED, reads_body=False)
    assert server.client().imports.create("platforms", [{"platformName": "Docker"}]).id == 9
    assert 2 < server.waits[0] <= 4


def test_a_server_error_is_retried_under_the_same_key() -> None:
    server = Server(httpx.Response(500), ACCEPTED)
    server.client().imports.create("platforms", [{"platformName": "Docker"}])
    assert len({request.headers["idempotency-key"] for request in server.requests}) == 1


def test_pyarrow_tables_are_records() -> None:
    source, kind = source_of(pa.table({"platformName": ["a", "b"], "n": [1, None]}), compresses=False)
    assert kind == BodyKind.of_name("rows.ndjson")
    lines = b"".join(source.blocks()).splitlines()  # type: ignore[arg-type]
    assert [msgspec.json.decode(line) for line in lines] == [
        {"platformName": "a", "n": 1},
        {"platformName": "b", "n": None},
    ]


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("rows.xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ("rows.ods", "application/vnd.oasis.opendocument.spreadsheet"),
        ("rows.parquet", "application/vnd.apache.parquet"),
    ],
)
def test_workbooks_and_parquet_files_are_sent_unchanged(tmp_path: Path, name: str, media_type: str) -> None:
    (tmp_path / name).write_bytes(b"PK")
    source, kind = source_of(tmp_path / name, compresses=True)
    assert isinstance(source, FileSource)
    assert kind.headers == {"Content-Type": media_type}


def test_cancel_and_undo_return_their_result() -> None:
    undone = progress("Completed", 2) | {"undone": {"removed": 2, "kept": 0, "notRestored": 1, "new": True}}
    server = Server(
        httpx.Response(200, json=progress("Cancelled")),
        httpx.Response(200, json=progress("Cancelled")),
        httpx.Response(200, json=undone),
    )
    job = Import(server.client(), 9)
    job.cancel()
    job.cancel(rollback=True)
    found = job.undo().undone
    assert found is not None
    assert (found.removed, found.restored, found.not_restored) == (2, 0, 1)
    assert [str(request.url) for request in server.requests] == [
        "http://server/api/imports/9",
        "http://server/api/imports/9?rollback=true",
        "http://server/api/imports/9/undo",
    ]


def test_events_are_parsed_and_resumed_after_a_break() -> None:
    first = b": still here\n\nid: a\nevent: state\ndata: %s\n\nid: b\nevent: progress\ndata: {" % msgspec.json.encode(
        progress("Processing", 1)
    )
    last = b"id: c\nevent: done\ndata: %s\n\n" % msgspec.json.encode(progress("Completed", 2))
    server = Server(httpx.Response(200, content=first), httpx.Response(200, content=last))
    events = list(Import(server.client(), 9).events())
    assert [(event.name, event.progress.status) for event in events] == [("state", "Processing"), ("done", "Completed")]
    assert [request.headers.get("last-event-id") for request in server.requests] == [None, "a"]
