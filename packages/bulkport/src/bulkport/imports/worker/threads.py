"""What rows make to do, away from the event loop of a worker.

A bad row costs tens of microseconds: tens of thousands of them, one after the other on the loop, would keep every other
job, and the worker's heartbeat, waiting for as long. On a thread they share the interpreter with the loop.

The threads are the imports' own. Those that asyncio gives to all may wait for what is far away.
"""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Final, TypeVar

_Result = TypeVar("_Result")

_FEWEST_ROWS: Final = 200
"""Fewer are done in a few milliseconds, and most of them sooner than a thread is changed."""
_THREADS: Final = 8
"""More would only compete for the interpreter."""


async def off_loop(rows: int, work: Callable[[], _Result]) -> _Result:
    """What `work` on so many rows returns. Many are worked on by a thread, with the task's context variables."""
    return work() if rows < _FEWEST_ROWS else await on_thread(work)


def on_thread(work: Callable[[], _Result]) -> "asyncio.Future[_Result]":
    """What `work` returns that a thread does, with the task's context variables."""
    return asyncio.get_running_loop().run_in_executor(_threads(), contextvars.copy_context().run, work)


@lru_cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="rows")
