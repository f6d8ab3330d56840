"""Reports what blocked the event loop of a server, and for how long.

A thread looks at a clock that the loop winds. When the loop is late, the thread writes down which request it is busy
with and where, which nobody can find out afterwards.
"""

import asyncio
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import anyio.lowlevel

from bulkport.logs import get_logger

_log = get_logger(__name__)

_TICK_SECONDS: Final = 0.05
_REPORT_EVERY_SECONDS: Final = 5.0
_STACK_FRAMES: Final = 12


class LoopWatchdog:
    """Watches the event loop that it was started on.

    Parameters
    ----------
    patience_seconds:
        How late the loop may be before it is reported.
    """

    def __init__(self, patience_seconds: float = 0.25) -> None:
        self._patience_seconds = patience_seconds
        self._wound_at = time.monotonic()
        self._has_ended = threading.Event()
        self._reported_at = 0.0
        self.worst_seconds = 0.0
        """Longest time that the loop was late, since it was last read by `take_worst`."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator["LoopWatchdog"]:
        """Watch the running loop for as long as the context lasts."""
        # Loads what anyio otherwise loads with the first request, a quarter of a second on a busy machine.
        await anyio.lowlevel.checkpoint()
        loop = asyncio.get_running_loop()
        watcher = threading.Thread(
            target=self._watch, args=(loop, threading.get_ident()), name="loop watchdog", daemon=True
        )
        self._wound_at = time.monotonic()
        winding = asyncio.create_task(self._wind(), name="loop watchdog")
        watcher.start()
        try:
            yield self
        finally:
            self._has_ended.set()
            winding.cancel()

    def take_worst(self) -> float:
        """Return `worst_seconds` and reset it."""
        worst, self.worst_seconds = self.worst_seconds, 0.0
        return worst

    async def _wind(self) -> None:
        while True:
            self._wound_at = time.monotonic()
            await asyncio.sleep(_TICK_SECONDS)
            self.worst_seconds = max(self.worst_seconds, time.monotonic() - self._wound_at - _TICK_SECONDS)

    def _watch(self, loop: asyncio.AbstractEventLoop, thread: int) -> None:
        while not self._has_ended.wait(_TICK_SECONDS):
            late = time.monotonic() - self._wound_at - _TICK_SECONDS
            now = time.monotonic()
            if late < self._patience_seconds or now - self._reported_at < _REPORT_EVERY_SECONDS:
                continue
            self._reported_at = now
            frame = sys._current_frames().get(thread)  # noqa: SLF001 - the documented way
            task = asyncio.current_task(loop)
            _log.warning(
                "event loop blocked",
                late_seconds=round(late, 3),
                by=None if task is None else task.get_name(),
                stack="".join(traceback.format_stack(frame, limit=_STACK_FRAMES)) if frame else None,
            )
