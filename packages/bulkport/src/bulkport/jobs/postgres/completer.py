"""How runs of jobs ended, and how that is written down: all that ended meanwhile in one statement."""

import asyncio
import json
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self

import psycopg

from bulkport.backoff import Backoff, wait_after
from bulkport.jobs.job import JSONValue
from bulkport.jobs.postgres import queries
from bulkport.jobs.postgres.connection import GivenUp, WorkerConnection, wait_for_event
from bulkport.logs import get_logger
from bulkport.sanitize import storable_text

_MOST_TYPE_LENGTH: Final = 200
_MOST_MESSAGE_LENGTH: Final = 4_000
_MOST_TRACEBACK_LENGTH: Final = 32_768


def message_of(error: BaseException) -> str:
    """The error's message, storable and bounded; says so when its `str()` raises."""
    try:
        message = str(error)
    except BaseException:
        message = "(its message cannot be shown)"
    return storable_text(message, _MOST_MESSAGE_LENGTH)


def type_of(error: BaseException) -> str:
    """Name of the error's type, storable and bounded."""
    return storable_text(type(error).__qualname__, _MOST_TYPE_LENGTH)


def describe(error: BaseException) -> str:
    """The error's type and message; its type alone when it has no message."""
    return join_error(type_of(error), message_of(error))


def join_error(error_type: str, message: str | None) -> str:
    """Type and message as one text."""
    return f"{error_type}: {message}" if message else error_type


def printable(error: BaseException) -> BaseException:
    """The error itself, or a stand-in with its traceback when loggers would choke on its `str()`."""
    try:
        str(error)
    except BaseException:
        return RuntimeError(describe(error)).with_traceback(error.__traceback__)
    return error


def traceback_of(error: BaseException) -> str:
    """The error's traceback with the errors it came from, storable; of a long one the end, which says most."""
    try:
        text = "".join(traceback.format_exception(printable(error)))
    except BaseException:
        # For example, an exception whose cause cannot be formatted.
        text = "".join(traceback.format_tb(error.__traceback__)) + describe(error)
    if len(text) > _MOST_TRACEBACK_LENGTH:
        text = "…" + text[1 - _MOST_TRACEBACK_LENGTH :]
    return storable_text(text, _MOST_TRACEBACK_LENGTH)


_log = get_logger(__name__)

_TRIES: Final = 3
_MOST_TOGETHER: Final = 500
_FIRST_LOCKED_WAIT: Final = 0.02
_LONGEST_LOCKED_WAIT: Final = 1.0
WAITING: Final = frozenset({"scheduled", "retrying"})


class Ending(StrEnum):
    """The ways in which a run ends; see `bulkport.finish`."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """For good."""
    RETRY = "retry"
    """In an error; another attempt follows."""
    AGAIN = "again"
    """The task asked to run again."""
    HANDED_BACK = "handed_back"
    """The worker shuts down."""
    LOST = "lost"
    """Unknown: the worker no longer ran it."""
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended."""

    ending: Ending
    seconds: float | None = 0.0
    """How long it took; None: not known."""
    result: JSONValue = None
    note: str | None = None
    """For the job's history."""
    error_type: str | None = None
    error: str | None = None
    traceback: str | None = None
    delay: float = 0.0
    """Seconds before the next run, if one follows."""
    priority: int | None = None
    """The job's priority from now on; None: as before."""

    @classmethod
    def of_error(cls, ending: Ending, error: BaseException, seconds: float, delay: float = 0.0) -> Self:
        """A run that ended in an error."""
        return cls(
            ending,
            seconds,
            error_type=type_of(error),
            error=message_of(error) or None,
            traceback=traceback_of(error),
            delay=delay,
        )


_SENT_OF_SUCCESS: Final = ("result", "note")
_SENT: Final = (*_SENT_OF_SUCCESS, "error_type", "error", "traceback", "delay", "priority")


@dataclass(slots=True)
class EndedRun:
    """A run whose outcome must be written."""

    job_id: int
    runs: int
    """Runs of the job before this one: with the worker it identifies this run."""
    task: str
    outcome: RunResult
    tries: int = 0

    def row(self) -> dict[str, Any]:
        """The argument of `bulkport.finish`, without absent members."""
        outcome = self.outcome
        row: dict[str, Any] = {
            "job_id": self.job_id,
            "runs": self.runs,
            "outcome": outcome.ending.value,
            "seconds": outcome.seconds,
        }
        for name in _SENT_OF_SUCCESS if outcome.ending is Ending.SUCCEEDED else _SENT:
            if (value := getattr(outcome, name)) is not None:
                row[name] = value
        return row


class Completer:
    """Writes outcomes: immediately when idle, otherwise in batches.

    Parameters
    ----------
    connection
        For this alone.
    server_name
        Stored with the runs.
    on_written
        Called with each run that needs no more writing, and the state its job has entered; None: it was no longer this
        worker's, or its outcome could not be written.
    """

    def __init__(
        self,
        connection: WorkerConnection,
        server_name: str,
        on_written: Callable[[EndedRun, str | None], None],
    ) -> None:
        self._connection = connection
        self._server_name = server_name
        self._on_written = on_written
        self._pending: list[EndedRun] = []
        self._locked: list[EndedRun] = []
        """Runs whose jobs' rows are locked by others."""
        self._waits = Backoff(_FIRST_LOCKED_WAIT, _LONGEST_LOCKED_WAIT)
        self._retry_at = 0.0
        self._changed = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.worker_id = 0
        self._succeeded = 0
        self._failed = 0

    @property
    def backlog(self) -> int:
        """Outcomes to write."""
        return len(self._pending)

    def ended(self) -> tuple[int, int]:
        """Numbers of succeeded and permanently failed jobs written so far."""
        return self._succeeded, self._failed

    def add(self, run: EndedRun) -> None:
        """Have an outcome written."""
        self._pending.append(run)
        self._idle.clear()
        self._changed.set()

    async def flushed(self) -> None:
        """Wait until everything is written."""
        await self._idle.wait()

    async def run(self) -> None:
        """Write until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            if self._locked and loop.time() >= self._retry_at:
                # Whatever else ends meanwhile.
                self._pending, self._locked = self._locked + self._pending, []
            if not self._pending:
                if self._locked:
                    await wait_for_event(self._changed, self._retry_at - loop.time())
                else:
                    self._idle.set()
                    await self._changed.wait()
                self._changed.clear()
                continue
            together, self._pending = self._pending[:_MOST_TOGETHER], self._pending[_MOST_TOGETHER:]
            await self._write(together)

    async def _write(self, runs: list[EndedRun]) -> None:
        arguments = {
            "worker_id": self.worker_id,
            "server": self._server_name,
            "outcomes": json.dumps([run.row() for run in runs]),
        }
        try:
            rows = await self._connection.fetch_all(queries.FINISH, arguments)
        except GivenUp:
            for run in runs:
                self._drop(run, "the database is unavailable")
            return
        except psycopg.Error as error:
            await self._write_apart(runs, error)
            return
        entered = {row["job_id"]: row["entered"] for row in rows}
        had_locked = bool(self._locked)
        for run in runs:
            state = entered.get(run.job_id)
            if state == "locked":
                self._locked.append(run)
                continue
            if state is None:
                _log.warning("job outcome not written: the job is no longer this worker's", **_said(run))
            self._succeeded += state == "succeeded"
            self._failed += state == "failed"
            self._on_written(run, state)
        if not self._locked:
            self._waits.reset()
        elif not had_locked:
            self._retry_at = asyncio.get_running_loop().time() + self._waits.next_delay()

    async def _write_apart(self, runs: list[EndedRun], error: psycopg.Error) -> None:
        """One that PostgreSQL refuses does not hold up the others."""
        if len(runs) > 1:
            for run in runs:
                await self._write([run])
            return
        (run,) = runs
        run.tries += 1
        if run.tries >= _TRIES:
            _log.error("job outcome not written; the job will run again", exc_info=error, **_said(run))
            self._on_written(run, None)
            return
        await asyncio.sleep(wait_after(1, first=0.2, longest=0.2, jitter=0.5))
        await self._write(runs)

    def _drop(self, run: EndedRun, why: str) -> None:
        _log.warning(f"job outcome not written: {why}; the job will run again", **_said(run))
        self._on_written(run, None)


def _said(run: EndedRun) -> dict[str, Any]:
    return {"job_id": run.job_id, "task": run.task, "outcome": run.outcome.ending}
