"""Work that goes on beside something else, and ends with it."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

_PATIENCE_SECONDS: Final = 1.0


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    """Run `work` for as long as the context lasts."""
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        # `asyncio.wait_for` of Python 3.11, by which the pool waits for a connection, loses a cancellation that comes
        # in the moment in which one is there.
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=_PATIENCE_SECONDS)
        await asyncio.gather(task, return_exceptions=True)
