"""Work that goes on beside something else ends with it."""

import asyncio
import contextlib

import pytest

from bulkport.imports import beside as module
from bulkport.imports.beside import beside


async def test_work_that_loses_its_cancellation_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 0.01)
    lost = asyncio.Event()

    async def work() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        lost.set()
        await asyncio.Event().wait()

    async with asyncio.timeout(60):
        async with beside(work(), "work"):
            await asyncio.sleep(0)
        assert lost.is_set()
