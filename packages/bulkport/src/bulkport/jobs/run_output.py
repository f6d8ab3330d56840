"""The output of a run in progress: progress, log lines, a checkpoint.

The task does not wait for it: output is buffered in memory, and written at once if nothing was written in the last half
second, otherwise with the next write. The rest is written when the run ends, before its outcome. The event loop and
threads may both add to it.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from bulkport.identifiers import MAX_BIGINT
from bulkport.jobs.job import JSONValue
from bulkport.sanitize import storable_json, storable_text

WRITE_SECONDS: Final = 0.5
"""Shortest time between two writes of one run."""
MOST_LINES: Final = 1_000
MOST_LINE_LENGTH: Final = 2_000
MOST_CHECKPOINT_BYTES: Final = 1_048_576
_MOST_MESSAGE_LENGTH: Final = 500
_LEVELS: Final = frozenset({"debug", "info", "warning", "error"})


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a run."""

    done: int
    total: int | None
    message: str | None


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line that a task logged; `line` counts from 1 across all runs of its job."""

    line: int
    level: str
    message: str
    monotonic: float
    """`time.monotonic()` when it was logged; its age gives its time by the database's clock."""


@dataclass(slots=True)
class PendingOutput:
    """Output to be written together."""

    progress: Progress | None = None
    checkpoint: JSONValue = None
    has_checkpoint: bool = False
    lines: list[LogLine] = field(default_factory=list)

    def __bool__(self) -> bool:
        return self.has_checkpoint or self.progress is not None or bool(self.lines)


@dataclass(frozen=True, slots=True)
class StoredOutput:
    """What earlier runs of the job have left."""

    checkpoint: JSONValue = None
    lines: int = 0


def _countable(number: int) -> int:
    """A number that the table takes: a number that it refuses would lose the output beside it."""
    return max(-MAX_BIGINT, min(int(number), MAX_BIGINT))


OutputWriter = Callable[[PendingOutput], Awaitable[None]]
"""Writes output while the worker owns the run; never raises for a database error."""


class RunOutput:
    """The output of one run.

    Parameters
    ----------
    write
        Writes it; None: it is not stored, as in a test that calls a task's function itself.
    stored
        What earlier runs have left.
    """

    def __init__(self, write: OutputWriter | None = None, stored: StoredOutput | None = None) -> None:
        self._write = write
        self._loop = None if write is None else asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._pending = PendingOutput()
        self._checkpoint = None if stored is None else stored.checkpoint
        self._line = 0 if stored is None else stored.lines
        self._is_scheduled = False
        self._is_closed = False
        self._writing: asyncio.Task[None] | None = None
        self._hurry: asyncio.Event | None = None

    @property
    def checkpoint(self) -> JSONValue:
        """The last checkpoint that this or an earlier run saved; None: none."""
        return self._checkpoint

    def set_progress(self, progress: Progress) -> None:
        """Set how far the run has come; only the latest is stored."""
        message = None if progress.message is None else storable_text(progress.message, _MOST_MESSAGE_LENGTH)
        total = None if progress.total is None else _countable(progress.total)
        latest = Progress(_countable(progress.done), total, message)
        with self._lock:
            self._pending.progress = latest
        self._schedule()

    def add_line(self, message: str, level: str) -> None:
        """Add a line; beyond `MOST_LINES` of the job, one that says so is the last."""
        if level not in _LEVELS:
            raise ValueError(f"not a log level: {level!r}; use one of {', '.join(sorted(_LEVELS))}")
        with self._lock:
            if self._line > MOST_LINES:
                return
            self._line += 1
            if self._line > MOST_LINES:
                message, level = f"only the first {MOST_LINES:,} lines of a job are kept", "warning"
            text = storable_text(message, MOST_LINE_LENGTH)
            self._pending.lines.append(LogLine(self._line, level, text, time.monotonic()))
        self._schedule()

    def set_checkpoint(self, value: JSONValue) -> None:
        """Save what a later run of the job needs to continue from here.

        Raises
        ------
        NotStorable
            It is not JSON, or too large.
        """
        plain = storable_json(value, most_bytes=MOST_CHECKPOINT_BYTES)
        with self._lock:
            self._checkpoint = self._pending.checkpoint = plain
            self._pending.has_checkpoint = True
        self._schedule()

    @property
    def needs_finish(self) -> bool:
        """Whether there is anything that `finish` would have to wait for."""
        return self._is_scheduled

    async def finish(self) -> None:
        """Write the remaining output; later output is dropped."""
        self._is_closed = True
        if self._writing is not None and self._hurry is not None:
            self._hurry.set()
            await self._writing
        await self._write_pending()

    def _schedule(self) -> None:
        with self._lock:
            if self._is_scheduled or self._is_closed or self._loop is None:
                return
            self._is_scheduled = True
        self._loop.call_soon_threadsafe(self._start)

    def _start(self) -> None:
        if not self._is_closed and self._writing is None:
            self._hurry = asyncio.Event()
            self._writing = asyncio.create_task(self._write_until_finished(self._hurry), name="run output")

    async def _write_until_finished(self, hurry: asyncio.Event) -> None:
        while not hurry.is_set():
            await self._write_pending()
            try:
                async with asyncio.timeout(WRITE_SECONDS):
                    await hurry.wait()
            except TimeoutError:
                continue

    async def _write_pending(self) -> None:
        with self._lock:
            pending, self._pending = self._pending, PendingOutput()
        if pending and self._write is not None:
            await self._write(pending)
