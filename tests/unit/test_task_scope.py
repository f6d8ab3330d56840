"""Background work ends with its context, and tasks end even if they swallow a cancellation."""

import asyncio
import contextlib

import pytest

from bulkport import task_scope as module
from bulkport.task_scope import background_task, end_tasks


async def test_work_that_swallows_its_cancellation_still_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RETRY_SECONDS", 0.01)
    lost = asyncio.Event()

    async def work() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        lost.set()
        await asyncio.Event().wait()

    async with asyncio.timeout(60):
        async with background_task(work(), "work"):
            await asyncio.sleep(0)
        assert lost.is_set()


async def test_tasks_that_swallow_their_cancellation_end_with_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RETRY_SECONDS", 0.01)

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
