"""A viewer's stream of server-sent events (HTML Living Standard §9.2).

Events: `clock` (once; the server's time in milliseconds), `fragment` (`{"name", "html"}`) and `stale` (`true` while the
database cannot be read). A comment goes out when there was no event for a while, so that proxies keep the connection.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator
from typing import Final

from starlette.types import Receive, Scope, Send

from bulkport.dashboard.core.security import NO_STORE, PAGE_HEADERS
from bulkport.dashboard.core.sse.hub import Hub, Render, Update, Watcher

RETRY_MILLISECONDS: Final = 2000
_HEARTBEAT_SECONDS: Final = 15.0
_SEND_SECONDS: Final = 30.0
_FAREWELL_SECONDS: Final = 0.5
_MAX_SECONDS: Final = 900.0


class EventStream:
    """An ASGI response that lasts until the viewer goes, the hub closes, or it is old enough that the viewer's right to
    see the page has to be judged again: the browser then comes back by itself.
    """

    def __init__(
        self,
        hub: Hub,
        key: str,
        render: Render,
        *,
        every: float,
        heartbeat_seconds: float = _HEARTBEAT_SECONDS,
        max_seconds: float = _MAX_SECONDS,
    ) -> None:
        self._hub = hub
        self._key = key
        self._render = render
        self._every = every
        self._heartbeat_seconds = heartbeat_seconds
        self._max_seconds = max_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the end (ASGI 3)."""
        with self._hub.watching(self._key, self._render, every=self._every) as watcher:
            headers = {**PAGE_HEADERS, **NO_STORE, "Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
            raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
            await send({"type": "http.response.start", "status": 200, "headers": raw})
            sending = asyncio.create_task(self._send_events(watcher, send))
            leaving = asyncio.create_task(_until_gone(receive))
            closing = asyncio.create_task(self._hub.closed.wait())
            tasks = {sending, leaving, closing}
            try:
                await asyncio.wait(tasks, timeout=self._max_seconds, return_when=asyncio.FIRST_COMPLETED)
                is_gone = leaving.done()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        if not is_gone:
            # To one who does not read there is no saying goodbye.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FAREWELL_SECONDS):
                    await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_events(self, watcher: Watcher, send: Send) -> None:
        async with contextlib.aclosing(self._events(watcher)) as events:
            async for text in events:
                async with asyncio.timeout(_SEND_SECONDS):
                    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})

    async def _events(self, watcher: Watcher) -> AsyncGenerator[str, None]:
        was_stale = False
        yield f"retry: {RETRY_MILLISECONDS}\n" + _event("clock", round(time.time() * 1000))
        while True:
            update: Update | None = None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._heartbeat_seconds):
                    update = await watcher.next()
            if update is None:
                yield ": still here\n\n"
                continue
            if update.is_stale != was_stale:
                was_stale = update.is_stale
                yield _event("stale", was_stale)
            for fragment in update.fragments:
                yield _event("fragment", {"name": fragment.name, "html": fragment.html})


def _event(name: str, data: object) -> str:
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
