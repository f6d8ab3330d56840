"""What a client is told whose request is not done when the server has to stop."""

import asyncio
import json
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from bulkport.fastapi.middleware import EdgeMiddleware

_SHUTDOWN = "Task cancelled, timeout graceful shutdown exceeded"
"""uvicorn's message."""


async def _cancelled(method: str, message: str | None, *, has_begun: bool = False) -> list[Message]:
    """The response to a client whose request is cancelled while the application waits."""
    sent: list[Message] = []
    waits = asyncio.Event()
    requests: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if has_begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        waits.set()
        await asyncio.Event().wait()

    async def receive() -> Message:
        if requests:
            return requests.pop()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {"type": "http", "method": method, "path": "/api/x", "query_string": b""}
    scope["headers"] = [(b"host", b"api.example")]
    serving = asyncio.create_task(EdgeMiddleware(application)(scope, receive, send))
    await waits.wait()
    serving.cancel(message)
    await serving
    return sent


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_request_during_shutdown_gets_503_and_retry_after(method: str) -> None:
    start, body = await _cancelled(method, _SHUTDOWN)
    assert start["status"] == 503
    assert (b"retry-after", b"1") in start["headers"]
    assert "stop" in json.loads(body["body"])["detail"]


async def test_a_started_response_is_broken_off() -> None:
    with pytest.raises(asyncio.CancelledError):
        await _cancelled("GET", _SHUTDOWN, has_begun=True)


async def test_other_cancellations_propagate() -> None:
    with pytest.raises(asyncio.CancelledError):
        await _cancelled("POST", None)
