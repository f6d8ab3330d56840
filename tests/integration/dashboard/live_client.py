"""A viewer's stream, read event by event, without a socket."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI
from starlette.types import Message

DEADLINE_SECONDS = 60.0


class LiveClient:
    """What a viewer gets. `is_reading = False` makes it one that takes nothing from its connection."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.events: list[tuple[str, Any]] = []
        self.comments = 0
        self.has_ended = False
        self.reading = asyncio.Event()
        self.reading.set()
        self.has_asked = False
        self.gone = asyncio.Event()
        self._text = ""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            return
        await self.reading.wait()
        self._text += message.get("body", b"").decode()
        self.has_ended = not message.get("more_body", False)
        while "\n\n" in self._text and self.status == 200:  # anything else is a page
            block, _, self._text = self._text.partition("\n\n")
            fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
            self.comments += sum(line.startswith(":") for line in block.splitlines())
            if "event" in fields:
                self.events.append((fields["event"], json.loads(fields["data"])))

    async def receive(self) -> Message:
        if not self.has_asked:
            self.has_asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    def fragments(self, name: str) -> list[str]:
        """Every sent state of a fragment, or its changed rows."""
        return [
            data.get("html") or "".join(data["rows"].values())
            for event, data in self.events
            if event in ("fragment", "rows") and data["name"] == name
        ]

    async def until(self, condition: Callable[[], object], what: str) -> None:
        await until(condition, what)


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait for a condition, with a deadline."""
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not condition():
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"waited {DEADLINE_SECONDS:g} s in vain: {what}") from None


@asynccontextmanager
async def watch(app: FastAPI, page: str) -> AsyncIterator[LiveClient]:
    """Watch a page of the dashboard, such as `jobs?state=failed`, for as long as the context lasts."""
    client = LiveClient()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/hangfire/live/",
        "raw_path": b"/hangfire/live/",
        "query_string": urlencode({"watch": page}).encode(),
        "root_path": "",
        "headers": [(b"host", b"localhost"), (b"accept", b"text/event-stream")],
        "client": ("127.0.0.1", 50000),
        "server": ("localhost", 80),
    }
    task = asyncio.create_task(app(scope, client.receive, client.send))  # type: ignore[arg-type]
    try:
        yield client
    finally:
        client.gone.set()
        client.reading.set()
        async with asyncio.timeout(DEADLINE_SECONDS):
            await task
