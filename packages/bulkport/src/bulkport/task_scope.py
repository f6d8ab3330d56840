"""Background coroutines that live as long as a context, and the end of tasks."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

_RETRY_SECONDS: Final = 5.0
"""Longer than psycopg takes to cancel a statement."""


@asynccontextmanager
async def background_task(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    """Run `work` in a task that ends with the context."""
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        await end_tasks(task)


async def end_tasks(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait until all have ended, ignoring their exceptions.

    In Python 3.11, `asyncio.wait_for`, with which a pool waits for a connection, loses a cancellation that arrives
    just as the result does. Tasks that keep running are therefore cancelled again.
    """
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=_RETRY_SECONDS)
    await asyncio.gather(*tasks, return_exceptions=True)
