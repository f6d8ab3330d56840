"""A browser's stream of server-sent events (HTML Living Standard §9.2), for all pages that it watches.

Events: `clock` (once; `{"now"}`, the server's time in milliseconds), `fragment` (`{"page", "name", "html"}`), `rows`
(`{"page", "name", "order", "rows"}`: the changed rows of a list and the order of all) and `stale` (`{"page", "stale"}`,
whether the database cannot be read). A comment goes out after a quiet while, so that proxies keep the connection.
"""

import asyncio
import contextlib
import json
import time
import zlib
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.types import Receive, Scope, Send

from bulkport.dashboard.core.render import Fragment
from bulkport.dashboard.core.security import NO_STORE, PAGE_HEADERS
from bulkport.dashboard.core.sse.hub import Hub, Render, Update, Watcher

RETRY_MILLISECONDS: Final = 2000
_HEARTBEAT_SECONDS: Final = 15.0
_SEND_SECONDS: Final = 30.0
_FAREWELL_SECONDS: Final = 0.5
_MAX_SECONDS: Final = 900.0
_GZIP_WINDOW: Final = 16 + 14
"""gzip with a window of 16 KiB: a stream that lasts costs some 100 KiB of memory, not 256."""
_GZIP_LEVEL: Final = 5
_GZIP_MEMORY: Final = 7


@dataclass(frozen=True, slots=True)
class Watched:
    """A page that the browser watches."""

    address: str
    """As the browser knows it; in its events."""
    key: str
    """Equal for viewers who see the same."""
    render: Render
    every: float


class EventStream:
    """An ASGI response that lasts until the viewer goes, the hub closes, or the viewer's right to see the pages has to
    be checked again: the browser then comes back by itself.

    Parameters
    ----------
    is_compressed
        Whether the browser takes gzip.
    """

    def __init__(
        self,
        hub: Hub,
        watched: Sequence[Watched],
        *,
        is_compressed: bool = False,
        heartbeat_seconds: float = _HEARTBEAT_SECONDS,
        max_seconds: float = _MAX_SECONDS,
    ) -> None:
        self._hub = hub
        self._watched = watched
        self._is_compressed = is_compressed
        self._heartbeat_seconds = heartbeat_seconds
        self._max_seconds = max_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the end (ASGI 3)."""
        with contextlib.ExitStack() as stack:
            watchers = [
                (one, stack.enter_context(self._hub.watching(one.key, one.render, every=one.every)))
                for one in self._watched
            ]
            headers = {**PAGE_HEADERS, **NO_STORE, "Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
            if self._is_compressed:
                headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
            raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
            await send({"type": "http.response.start", "status": 200, "headers": raw})
            sending = asyncio.create_task(self._send_events(watchers, send))
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
            # Nothing can be sent to a client that does not read.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FAREWELL_SECONDS):
                    await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_events(self, watchers: Sequence[tuple[Watched, Watcher]], send: Send) -> None:
        compressor = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW, _GZIP_MEMORY)
        async with contextlib.aclosing(self._events(watchers)) as events:
            async for text in events:
                body = text.encode("utf-8", "replace")
                if self._is_compressed:
                    body = compressor.compress(body) + compressor.flush(zlib.Z_SYNC_FLUSH)
                async with asyncio.timeout(_SEND_SECONDS):
                    await send({"type": "http.response.body", "body": body, "more_body": True})

    async def _events(self, watchers: Sequence[tuple[Watched, Watcher]]) -> AsyncGenerator[str, None]:
        sent: dict[tuple[str, str], Fragment] = {}
        stale: dict[str, bool] = {}
        waiting = {asyncio.ensure_future(watcher.next()): (one, watcher) for one, watcher in watchers}
        try:
            yield f"retry: {RETRY_MILLISECONDS}\n" + _event("clock", {"now": round(time.time() * 1000)})
            while True:
                done, _ = await asyncio.wait(
                    waiting, timeout=self._heartbeat_seconds, return_when=asyncio.FIRST_COMPLETED
                )
                if not done:
                    yield ": still here\n\n"
                for ready in done:
                    one, watcher = waiting.pop(ready)
                    yield "".join(_changes(one.address, ready.result(), sent, stale))
                    # Only then, so that a slow reader gets the newest state and not all before it.
                    waiting[asyncio.ensure_future(watcher.next())] = (one, watcher)
        finally:
            for future in waiting:
                future.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)


def _changes(page: str, update: Update, sent: dict[tuple[str, str], Fragment], stale: dict[str, bool]) -> Iterator[str]:
    """The events of an update compared with what was sent before."""
    if update.is_stale != stale.get(page, False):
        stale[page] = update.is_stale
        yield _event("stale", {"page": page, "stale": update.is_stale})
    for fragment in update.fragments:
        earlier = sent.get((page, fragment.name))
        sent[page, fragment.name] = fragment
        rows = None if earlier is None else fragment.rows_changed_since(earlier)
        if rows is None:
            yield _event("fragment", {"page": page, "name": fragment.name, "html": fragment.html})
        else:
            yield _event("rows", {"page": page, "name": fragment.name, "order": list(fragment.rows), "rows": rows})


def _event(name: str, data: object) -> str:
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
