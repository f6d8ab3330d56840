"""A server says which request held its event loop."""

import asyncio
import time
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from bulkport.fastapi import loop_watchdog
from bulkport.fastapi.loop_watchdog import LoopWatchdog
from bulkport.fastapi.middleware import EdgeMiddleware


async def test_the_request_that_blocks_the_event_loop_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, Any]] = []

    class Log:
        def warning(self, event: str, **members: Any) -> None:
            told.append({"event": event, **members})

    monkeypatch.setattr(loop_watchdog, "_log", Log())

    def named() -> list[dict[str, Any]]:
        """A busy machine may have held the loop up before."""
        return [one for one in told if "GET /slow" in one["by"]]

    app = FastAPI()
    app.add_middleware(EdgeMiddleware)

    @app.get("/slow")
    async def slow() -> str:
        deadline = time.monotonic() + 60
        while not named() and time.monotonic() < deadline:
            time.sleep(0.01)
        return "done"

    watchdog = LoopWatchdog(patience_seconds=0.05)
    async with watchdog.running():
        await asyncio.sleep(0)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://a.example") as client:
            assert (await client.get("/slow")).status_code == 200
        await asyncio.sleep(0.06)
    assert named()[0]["event"] == "event loop blocked"
    assert "in slow" in named()[0]["stack"]
    assert watchdog.take_worst() > 0.05
    assert watchdog.take_worst() == 0
