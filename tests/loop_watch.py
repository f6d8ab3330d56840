"""How long the event loop of a test's own process is held at a time."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


@asynccontextmanager
async def watched_loop() -> AsyncIterator[list[float]]:
    """Notes how long this process, and not others that the machine is busy with, held the event loop at a time.

    That is the time between two turns in which the loop's thread did not wait for a processor, but at most the
    processor time that the whole process took meanwhile.
    """
    held: list[float] = [0.0]
    # Linux: time on a processor, time ready to run without one, both in nanoseconds ("schedstats" in the kernel).
    schedule = Path(f"/proc/self/task/{threading.get_native_id()}/schedstat")

    def now() -> tuple[float, float]:
        waited = int(schedule.read_bytes().split()[1]) / 1e9
        return time.process_time(), time.monotonic() - waited

    async def watch() -> None:
        while True:
            cpu, ready = now()
            await asyncio.sleep(0.001)
            cpu_then, ready_then = now()
            held.append(min(cpu_then - cpu, ready_then - ready))

    watching = asyncio.create_task(watch())
    try:
        yield held
    finally:
        watching.cancel()
