"""Problems, trace ids and unexpected errors."""

import asyncio
import json
import logging
from typing import Any

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from starlette.responses import StreamingResponse

from application_client import assert_problem, client_of, make_key, open_application
from bulkport.errors import BulkportError

DISCONNECT_ALL = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


async def test_the_trace_id_is_the_callers(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/platforms/1", headers={"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"})
    assert assert_problem(answer, 404)["traceId"] == TRACE


async def test_each_request_without_a_trace_id_gets_its_own(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(client.get("/api/platforms/1") for _ in range(20)))
    assert len({assert_problem(answer, 404)["traceId"] for answer in answers}) == 20


async def test_the_problem_type_distinguishes_kinds(client: httpx.AsyncClient) -> None:
    missing = assert_problem(await client.get("/api/platforms/1"), 404)
    invalid = assert_problem(await client.post("/api/platforms", json={}), 400)
    assert (missing["type"], missing["title"]) == ("/problems/not-found", "Not found")
    assert (invalid["type"], invalid["title"]) == ("/problems/validation-failed", "Validation failed")
    assert "1" in missing["detail"]


@pytest.mark.parametrize("error", [RuntimeError("the password is hunter2"), BulkportError("the password is hunter2")])
async def test_an_unexpected_error_is_logged_but_not_revealed(
    app: FastAPI, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    @app.get("/api/broken")
    async def broken() -> None:
        raise error

    with caplog.at_level(logging.ERROR):
        answer = await client.get("/api/broken")
    problem = assert_problem(answer, 500)
    assert "traceId" in problem["detail"]
    for secret in ("hunter2", "Traceback", "RuntimeError", ".py"):
        assert secret not in answer.text
    (record,) = [record for record in caplog.records if record.message == "unexpected error"]
    assert record.exc_info is not None
    assert record.exc_info[1] is error


async def test_an_error_after_the_response_began_aborts_it(app: FastAPI, client: httpx.AsyncClient) -> None:
    @app.get("/api/half")
    async def half() -> StreamingResponse:
        async def parts() -> Any:
            yield b"half of it"
            raise RuntimeError("gone")

        return StreamingResponse(parts())

    with pytest.raises(RuntimeError, match="gone"):
        await client.get("/api/half")


async def test_the_log_line_of_a_request_has_its_trace_id_and_route(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="commandapi.requests"):
        await client.get("/api/platforms/77", headers={"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"})
    (record,) = [record for record in caplog.records if record.name == "commandapi.requests"]
    told: dict[str, Any] = vars(record)
    assert (told["method"], told["path"], told["status"]) == ("GET", "/api/platforms/77", 404)
    assert told["route"] == "/api/platforms/{platform_id}"
    assert told["milliseconds"] > 0


async def test_a_message_that_quotes_unencodable_text_is_still_sent(app: FastAPI, client: httpx.AsyncClient) -> None:
    @app.get("/api/odd")
    async def odd() -> None:
        raise OddError("\ud800")

    class OddError(BulkportError):
        status = 400
        title = "Odd"

    assert json.loads((await client.get("/api/odd")).content)["detail"] == "?"


async def test_during_a_database_outage_the_response_is_503(
    server_url: str, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    key = await make_key(database_url)
    name = database_url.partition("?")[0].rsplit("/", 1)[1]
    async with (
        open_application(database_url, database_wait_seconds=0.3) as app,
        client_of(app, key) as client,
        await psycopg.AsyncConnection.connect(server_url, autocommit=True) as operator,
    ):
        assert (await client.get("/api/platforms")).status_code == 200
        await operator.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        await operator.execute(DISCONNECT_ALL, (name,))
        for path in ("/api/platforms", "/api/platforms/1"):
            # Of the settings alone it depends how long that takes; without them it is longer than a client may wait.
            async with asyncio.timeout(20):
                answer = await client.get(path)
            assert_problem(answer, 503)
            assert answer.headers["retry-after"] == "1"
        assert_problem(await client.post("/api/platforms", json={"platformName": "x"}), 503)
        await operator.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        app.state.pool.timeout = 30
        assert (await client.get("/api/platforms")).status_code == 200


async def test_connections_closed_by_the_server_go_unnoticed(
    app: FastAPI, client: httpx.AsyncClient, server_url: str, database_url: str
) -> None:
    name = database_url.partition("?")[0].rsplit("/", 1)[1]
    async with await psycopg.AsyncConnection.connect(server_url, autocommit=True) as operator:
        for _ in range(3):
            assert (await client.get("/api/platforms")).status_code == 200
            await operator.execute(DISCONNECT_ALL, (name,))
    assert (await client.get("/api/platforms")).status_code == 200


async def test_requests_leave_nothing_on_their_connections(app: FastAPI, client: httpx.AsyncClient) -> None:
    for _ in range(20):
        await client.get("/api/platforms")
        await client.post("/api/platforms", json={"platformName": "Docker"})
    idle = list(app.state.pool._pool)
    assert idle
    assert all(connection.autocommit for connection in idle)
    assert max(len(connection._notice_handlers) for connection in idle) <= 1
