"""The client against a server with scripted responses."""

import io
from pathlib import Path

import httpx
import pytest
from answering_server import ACCEPTED, Server, progress

from bulkport.client import (
    BodyKind,
    Client,
    ClientError,
    FileSource,
    Import,
    RequestRefused,
    ServerUnreachable,
    Source,
    StreamSource,
    UnexpectedAnswer,
    UploadLost,
)
from bulkport.imports.body_format import BodyFormat
from bulkport.imports.formats.prefer_header import Handling

CSV = BodyKind(BodyFormat.CSV)


@pytest.fixture
def rows(tmp_path: Path) -> Source:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"platformName\nDocker\nGit\n")
    return FileSource(path)


def test_a_file_is_sent_with_its_length_type_and_preferences(rows: Source) -> None:
    server = Server(ACCEPTED)
    sent: list[int] = []
    with server.client() as client:
        accepted = client.imports.send(
            "platforms",
            rows,
            BodyKind(BodyFormat.CSV, "gzip", ";"),
            handling=Handling.STRICT,
            on_sent=sent.append,
        )
    (request,) = server.requests
    assert (accepted.id, accepted.total_records) == (9, 2)
    assert request.url == "http://server/api/platforms/bulk?delimiter=%3B"
    assert request.headers["content-type"] == "text/csv"
    assert request.headers["content-encoding"] == "gzip"
    assert request.headers["content-length"] == "24"
    assert "transfer-encoding" not in request.headers
    assert request.headers["prefer"] == "handling=strict"
    assert request.headers["x-api-key"] == "key"
    assert server.bodies == [b"platformName\nDocker\nGit\n"]
    assert sent == [0, 24]


def test_a_stream_of_unknown_length_is_sent_chunked() -> None:
    server = Server(ACCEPTED)
    server.client().imports.send("platforms", StreamSource(io.BytesIO(b"platformName\nGit\n"), "stdin"), CSV)
    assert server.requests[0].headers["transfer-encoding"] == "chunked"
    assert server.bodies == [b"platformName\nGit\n"]


def test_a_refused_connection_is_retried_even_for_a_stream() -> None:
    server = Server(httpx.ConnectError("refused"), httpx.ConnectError("refused"), ACCEPTED)
    server.client().imports.send("platforms", StreamSource(io.BytesIO(b"platformName\nGit\n"), "stdin"), CSV)
    assert len(server.requests) == 3
    assert server.bodies == [b"platformName\nGit\n"]
    assert server.waits == sorted(server.waits)


def test_an_unreachable_server_is_given_up_after_a_bounded_time(rows: Source) -> None:
    server = Server(*[httpx.ConnectError("connection refused")] * 100)
    with pytest.raises(ServerUnreachable, match="http://server cannot be reached: connection refused"):
        server.client().imports.send("platforms", rows, CSV)
    assert 1 < sum(server.waits) <= 5


def test_a_busy_server_is_retried_after_its_retry_after(rows: Source) -> None:
    server = Server(httpx.Response(503, headers={"retry-after": "3"}), ACCEPTED, reads_body=False)
    assert server.client().imports.send("platforms", rows, CSV).id == 9
    assert server.waits == [3]


@pytest.mark.parametrize("answer", [httpx.Response(503, headers={"retry-after": "1"}), httpx.ReadError("reset")])
def test_a_body_that_may_have_been_accepted_is_resent_under_its_key(
    rows: Source, answer: httpx.Response | Exception
) -> None:
    server = Server(answer, ACCEPTED)
    assert server.client().imports.send("platforms", rows, CSV).id == 9
    first, second = server.requests
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert server.bodies == [b"platformName\nDocker\nGit\n"] * 2


def test_each_import_gets_its_own_key_unless_given_one(rows: Source) -> None:
    server = Server(*[ACCEPTED] * 3)
    with server.client() as client:
        client.imports.send("platforms", rows, CSV)
        client.imports.send("platforms", rows, CSV)
        client.imports.send("platforms", rows, CSV, idempotency_key="mine")
    keys = [request.headers["idempotency-key"] for request in server.requests]
    assert len(set(keys)) == 3
    assert keys[2] == "mine"


def test_a_key_in_use_is_waited_for_and_a_used_key_is_rejected(rows: Source) -> None:
    in_use = httpx.Response(409, headers={"retry-after": "1"}, json={"title": "in use"})
    used = httpx.Response(422, json={"title": "used", "detail": "Wrong.", "errors": {"a": ["no a"], "b": ["no b"]}})
    server = Server(in_use, used)
    with pytest.raises(RequestRefused) as refused:
        server.client().imports.send("platforms", rows, CSV)
    assert (refused.value.http_status, server.waits) == (422, [1])
    assert str(refused.value) == "Wrong: no a; no b"


def test_a_broken_stream_reports_that_it_may_have_been_accepted() -> None:
    server = Server(httpx.ReadError("reset"), ACCEPTED)
    stream = StreamSource(io.BytesIO(b"platformName\nGit\n"), "stdin")
    with pytest.raises(UploadLost) as lost:
        server.client().imports.send("platforms", stream, CSV)
    assert lost.value.may_be_accepted
    assert len(server.requests) == 1


def test_a_stream_that_broke_before_sending_reports_that_nothing_was_stored() -> None:
    server = Server(httpx.WriteError("broken pipe"), ACCEPTED, reads_body=False)
    stream = StreamSource(io.BytesIO(b"platformName\nGit\n"), "stdin")
    with pytest.raises(UploadLost, match="Nothing of them was kept") as lost:
        server.client().imports.send("platforms", stream, CSV)
    assert not lost.value.may_be_accepted


def test_a_problem_is_raised_with_its_messages(rows: Source) -> None:
    problem = {
        "title": "Validation failed",
        "status": 400,
        "detail": "One or more validation errors occurred.",
        "errors": {"platforms[3].platformName": ["platformName is required"]},
        "traceId": "abc",
    }
    server = Server(httpx.Response(400, json=problem, headers={"content-type": "application/problem+json"}))
    with pytest.raises(RequestRefused) as refused:
        server.client().imports.send("platforms", rows, CSV)
    assert refused.value.http_status == 400
    assert refused.value.refusal == "Validation failed"
    assert refused.value.errors == problem["errors"]
    assert refused.value.trace_id == "abc"


def test_a_response_of_another_service_is_reported(rows: Source) -> None:
    server = Server(httpx.Response(200, text="<html>It works!</html>"))
    with pytest.raises(UnexpectedAnswer, match="It works!"):
        server.client().imports.send("platforms", rows, CSV)


def test_an_error_without_a_problem_body_keeps_its_status() -> None:
    server = Server(httpx.Response(404, text="no such page"))
    with pytest.raises(RequestRefused, match="Not Found") as refused:
        server.client().check_access()
    assert refused.value.http_status == 404


def test_follow_polls_until_the_import_ends() -> None:
    states = [progress("Pending"), progress("Processing", 1), progress("Completed", 2)]
    server = Server(*(httpx.Response(200, json=state) for state in states))
    seen = list(Import(server.client(), 9).follow())
    assert [(step.status, step.processed_records) for step in seen] == [
        ("Pending", 0),
        ("Processing", 1),
        ("Completed", 2),
    ]
    assert {request.url.path for request in server.requests} == {"/api/imports/9"}


def test_follow_survives_a_server_restart() -> None:
    server = Server(
        httpx.Response(200, json=progress("Processing", 1)),
        httpx.ReadError("reset"),
        httpx.ConnectError("refused"),
        httpx.Response(503, headers={"retry-after": "1"}),
        httpx.Response(200, json=progress("Completed", 2)),
    )
    assert [step.status for step in Import(server.client(), 9).follow()] == ["Processing", "Completed"]


def test_bad_rows_are_paged_lazily() -> None:
    def page(first: int, cursor: str | None) -> httpx.Response:
        items = [
            {"row": row, "errors": [{"field": "platformName", "message": "bad"}], "record": {"platformName": ""}}
            for row in (first, first + 1)
        ]
        return httpx.Response(200, json={"items": items, "nextCursor": cursor})

    server = Server(page(1, "two"), page(7, None))
    rows = Import(server.client(), 9).errors(page_size=2)
    assert next(rows).row == 1
    assert len(server.requests) == 1
    assert [row.row for row in rows] == [2, 7, 8]
    assert server.requests[1].url.params["cursor"] == "two"
    assert server.requests[0].url.params["limit"] == "2"


@pytest.mark.parametrize("url", ["", "server", "ftp://server", "http://", "http://[::1", "http://server:port"])
def test_an_invalid_address_is_reported(url: str) -> None:
    with pytest.raises(ClientError, match="address"):
        Client(url, api_key="key")


@pytest.mark.parametrize("key", ["schlüssel", "two\nlines", "\x00"])
def test_an_invalid_key_is_reported(key: str) -> None:
    with pytest.raises(ClientError, match="key"):
        Client("http://server", api_key=key)
