"""Follows an import over HTTP: long polling and a stream of server-sent events."""

import asyncio
import contextlib
import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bulkport.fastapi.job_views import JobDetail
from bulkport.imports.read import ImportJob
from bulkport.imports.states import ImportStatus
from bulkport.imports.watch import ImportWatch

MAX_WAIT_SECONDS: Final = 60
"""Longest that an answer is held back for an import's end; `wait` may name more, and then gets this."""

_RETRY_MILLISECONDS: Final = 2000
_HEARTBEAT_SECONDS: Final = 15.0
_SEND_SECONDS: Final = 30.0
_MAX_RETRY_AFTER: Final = 30
_HEADERS: Final = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    # nginx would hold events back until its buffer is full.
    (b"x-accel-buffering", b"no"),
)

EVENTS_RESPONSE: Final[dict[str, Any]] = {
    "description": "Server-sent events until the import finishes: `state` (its status changed), `progress` (rows were "
    "processed; at most four per second) and `done` (its final status). Each has the import as data, like "
    "`GET /imports/{id}`, on one line (shortened in the example). Lines that begin with `:` keep the connection "
    "alive. If the stream ends without `done`, reconnect.",
    "content": {
        "text/event-stream": {
            "schema": {"type": "string", "description": 'The HTML Living Standard, "Server-sent events".'},
            "example": "retry: 2000\n\nid: Processing-0\nevent: state\n"
            'data: {"id":9,"status":"Processing","processedRecords":0,"totalRecords":10}\n\n'
            "id: Processing-5\nevent: progress\n"
            'data: {"id":9,"status":"Processing","processedRecords":5,"totalRecords":10}\n\n'
            ": still here\n\nid: PartialSuccess-10\nevent: done\n"
            'data: {"id":9,"status":"PartialSuccess","processedRecords":10,"totalRecords":10}\n\n',
        }
    },
}
LAST_EVENT_ID: Final[dict[str, Any]] = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "description": "The `id` of the last event received, to resume a broken stream after it. `EventSource` sends it "
    "automatically.",
    "schema": {"type": "string"},
    "example": "Processing-5",
}


def retry_after(job: ImportJob) -> str:
    """Seconds until it is worth asking for the status again, as the value of `Retry-After` (RFC 9110 §10.2.3)."""
    eta = job.eta_seconds
    if job.is_scheduled and job.start_at is not None:
        eta = 2 * (job.start_at - datetime.now(UTC)).total_seconds()
    return str(1 if eta is None else min(max(math.ceil(eta / 2), 1), _MAX_RETRY_AFTER))


class ImportEvents(Response):
    """An answer that follows an import until it ends (HTML Living Standard §9.2, "Server-sent events").

    Each event has an id that says what its reader knows by then; a reader that comes back with `Last-Event-ID` is not
    told the same again, and one that has seen the end is answered 204, which keeps a browser from coming back.
    """

    def __init__(
        self,
        watch: ImportWatch,
        job: ImportJob,
        last_event_id: str | None,
        view: Callable[[ImportJob], BaseModel] = JobDetail.of,
    ) -> None:
        super().__init__(media_type="text/event-stream")
        self._watch = watch
        self._job = job
        self._last_event_id = last_event_id
        self._view = view

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the import ends, its reader goes, or the server is about to stop (ASGI 3)."""
        if _is_final(self._job) and self._last_event_id == _event_id(self._job):
            await Response(status_code=204)(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": list(_HEADERS)})
        sending = asyncio.create_task(self._send(send))
        leaving = asyncio.create_task(_until_gone(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done() and not leaving.done():
                sending.result()
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            for task in (sending, leaving):
                task.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)

    async def _send(self, send: Send) -> None:
        async with contextlib.aclosing(self._texts()) as texts:
            async for text in texts:
                async with asyncio.timeout(_SEND_SECONDS):
                    await send({"type": "http.response.body", "body": text, "more_body": True})

    async def _texts(self) -> AsyncGenerator[bytes, None]:
        yield f"retry: {_RETRY_MILLISECONDS}\n\n".encode()
        sent_status: str | None = None
        known = self._last_event_id
        async for job in _with_heartbeat(self._watch.states(self._job)):
            if job is None:
                yield b": still here\n\n"
                continue
            event_id = _event_id(job)
            if event_id == known:
                sent_status = job.status
                continue
            name = "done" if _is_final(job) else "progress" if job.status == sent_status else "state"
            sent_status, known = job.status, event_id
            data = msgspec.json.encode(self._view(job).model_dump(mode="json", by_alias=True))
            yield b"id: %b\nevent: %b\ndata: %b\n\n" % (event_id.encode(), name.encode(), data)


async def _with_heartbeat(states: AsyncIterator[ImportJob]) -> AsyncIterator[ImportJob | None]:
    """The states, and None whenever there was none for a while."""
    following = asyncio.ensure_future(anext(states, None))
    try:
        while True:
            done, _ = await asyncio.wait({following}, timeout=_HEARTBEAT_SECONDS)
            if not done:
                yield None
                continue
            job = following.result()
            if job is None:
                return
            yield job
            following = asyncio.ensure_future(anext(states, None))
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


def _event_id(job: ImportJob) -> str:
    return f"{job.status}-{job.processed_count}"


def _is_final(job: ImportJob) -> bool:
    return ImportStatus(job.status).is_final


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
