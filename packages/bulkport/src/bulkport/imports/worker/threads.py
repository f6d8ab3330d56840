"""What rows make to do, away from the event loop of a worker.

A bad row costs tens of microseconds: tens of thousands of them, one after the other on the loop, would keep every other
job, and the worker's heartbeat, waiting for as long. On a thread they share the interpreter with the loop.
"""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

_Result = TypeVar("_Result")

_FEWEST_ROWS: Final = 200
"""Fewer are done in a few milliseconds, and most of them sooner than a thread is changed."""


async def off_loop(rows: int, work: Callable[[], _Result]) -> _Result:
    """What `work` on so many rows returns. Many are worked on by a thread, with the task's context variables."""
    return work() if rows < _FEWEST_ROWS else await asyncio.to_thread(work)
