"""Seeing tasks that keep the event loop to themselves: while one computes, no other job of the worker moves."""

import asyncio
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Final

from bulkport.logs import get_logger

_log = get_logger(__name__)

_TICKS_IN_LIMIT: Final = 4

RunningJobs = Callable[[], dict["asyncio.Task[object]", tuple[int, str]]]
"""The id and the task's name of each job that runs, by the asyncio task it runs in."""


class LoopWatch:
    """Watches the event loop of a worker from another thread.

    Parameters
    ----------
    blocked_seconds
        How long the loop may stand still before it is reported, once a job.
    running_jobs
        Tells what may be the cause.
    """

    def __init__(self, blocked_seconds: float, running_jobs: RunningJobs) -> None:
        self._blocked_seconds = blocked_seconds
        self._running_jobs = running_jobs
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._ticked = time.monotonic()
        self._longest_lag = 0.0
        self._reported: set[int] = set()

    async def tick(self) -> None:
        """Run on the loop, until cancelled: it shows that the loop turns."""
        while True:
            self._ticked = time.monotonic()
            await asyncio.sleep(self.look_seconds)
            late = time.monotonic() - self._ticked - self.look_seconds
            self._longest_lag = max(self._longest_lag, late)

    def take_longest_lag(self) -> float:
        """The longest time, in seconds, that the loop was late since the last call. Called in another thread."""
        blocked = time.monotonic() - self._ticked - self.look_seconds
        longest, self._longest_lag = max(self._longest_lag, blocked, 0.0), 0.0
        return longest

    @property
    def look_seconds(self) -> float:
        """How often to look."""
        return self._blocked_seconds / _TICKS_IN_LIMIT

    def look(self) -> None:
        """Report the job that blocks the loop, if one does. Called in another thread."""
        blocked = time.monotonic() - self._ticked
        if blocked < self._blocked_seconds:
            return
        frame = sys._current_frames().get(self._thread)  # noqa: SLF001 - the documented way
        stack = "" if frame is None else "".join(traceback.format_stack(frame))
        current = asyncio.current_task(self._loop)
        try:
            running = self._running_jobs()
        except RuntimeError:
            # The loop has gone on meanwhile and changed it.
            return
        suspects = [running[current]] if current in running else list(running.values())
        if time.monotonic() - self._ticked < blocked:
            return
        fresh = [(job_id, task) for job_id, task in suspects if job_id not in self._reported]
        if not fresh:
            return
        self._reported.update(job_id for job_id, _ in fresh)
        _log.error(
            "event loop blocked",
            job_id=fresh[0][0] if len(suspects) == 1 else [job_id for job_id, _ in fresh],
            task=fresh[0][1] if len(suspects) == 1 else sorted({task for _, task in fresh}),
            seconds=round(blocked, 1),
            stack=stack,
        )
