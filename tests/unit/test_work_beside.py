"""Work that goes on beside something else ends with it."""

import asyncio
import contextlib

import pytest

from bulkport import beside as module
from bulkport.beside import beside, end_tasks


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


async def test_tasks_that_lose_their_cancellation_are_ended_with_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 0.01)

    async def lose() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    async def fail() -> None:
        raise ValueError

    tasks = [asyncio.create_task(work()) for work in (lose, fail, asyncio.Event().wait)]
    await asyncio.sleep(0)
    async with asyncio.timeout(60):
        await end_tasks(*tasks)
    assert [task.cancelled() for task in tasks] == [True, False, True]
