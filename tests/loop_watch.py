"""How long the event loop of a test's own process is held at a time."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def watched_loop() -> AsyncIterator[list[float]]:
    """Notes how long this process, and not others that the machine is busy with, held the event loop at a time."""
    held: list[float] = [0.0]

    async def watch() -> None:
        while True:
            began, worked = time.perf_counter(), time.process_time()
            await asyncio.sleep(0.001)
            held.append(min(time.perf_counter() - began, time.process_time() - worked))

    watching = asyncio.create_task(watch())
    try:
        yield held
    finally:
        watching.cancel()
