"""How long the event loop of a test's own process works at a time."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def watched_loop() -> AsyncIterator[list[float]]:
    """Collect how much processor time, in seconds, the loop's own thread takes between two turns of the loop.

    Neither other processes nor other threads count, and the garbage collector leaves alone what earlier tests made:
    a collection of it takes longer than the turns do.
    """
    turns: list[float] = [0.0]

    async def watch() -> None:
        while True:
            before = time.thread_time()
            await asyncio.sleep(0.001)
            turns.append(time.thread_time() - before)

    gc.collect()
    gc.freeze()
    watching = asyncio.create_task(watch())
    try:
        yield turns
    finally:
        watching.cancel()
        gc.unfreeze()
