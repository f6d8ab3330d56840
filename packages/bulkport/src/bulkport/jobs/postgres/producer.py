"""What brings a worker its jobs: claims of as many as it has free slots, in one statement, and notifications."""

import asyncio
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import sql

from bulkport.jobs.job import JSONValue
from bulkport.jobs.postgres import queries
from bulkport.jobs.postgres.connection import WorkerConnection, reconnecting
from bulkport.logs import get_logger
from bulkport.pools import patient_conninfo

_log = get_logger(__name__)

_CHECK_SECONDS: Final = 15.0
_ECHO_SECONDS: Final = 2.0
_REACH: Final = 4
"""Jobs that a claim looks at for each one it may take: other workers may be claiming the first ones."""
_MOST_REACH: Final = 5_000


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job in this worker's hands."""

    job_id: int
    task: str
    queue: str
    priority: int
    args: dict[str, JSONValue]
    runs: int
    """Runs that ended before."""
    failures: int
    lost_runs: int
    """Runs during which the worker died."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a claim gave."""

    jobs: Sequence[ClaimedJob]
    is_evicted: bool = False
    """The worker's lease is gone."""
    is_contended: bool = False
    """There are jobs that it did not get: others hold them, or limits hold them back."""


class Claimer:
    """Claims jobs for one worker.

    Parameters
    ----------
    connection
        For this alone.
    tasks
        What the worker knows; jobs of other tasks are left to others.
    heavy_tasks
        Those that keep the process busy: of each it takes one job at a time, so that they spread over all processes.
    queues
        Queues to serve; None: all.
    """

    def __init__(
        self,
        connection: WorkerConnection,
        tasks: Sequence[str],
        heavy_tasks: Sequence[str],
        queues: Sequence[str] | None,
    ) -> None:
        self._connection = connection
        self._arguments: dict[str, Any] = {
            "tasks": list(tasks),
            "heavy_tasks": list(heavy_tasks),
            "queues": None if queues is None else list(queues),
        }
        self._reach = _REACH
        self.worker_id = 0

    async def claim(self, free: int) -> Claim:
        """Claim at most `free` jobs.

        Raises
        ------
        GivenUp
            The database is away, and the worker ends.
        psycopg.Error
            PostgreSQL refused, such as after a statement timeout.
        """
        arguments = self._arguments | {
            "worker_id": self.worker_id,
            "free": free,
            "reach": min(self._reach * free, _MOST_REACH),
        }
        rows = await self._connection.fetch_all(queries.CLAIM, arguments)
        signals = {row.pop("signal") for row in rows}
        jobs = [ClaimedJob(**row) for row in rows if row["job_id"] is not None]
        # Locked jobs at the head must not hide those behind them.
        self._reach = min(4 * self._reach, _MOST_REACH) if "again" in signals and not jobs else _REACH
        return Claim(jobs, is_evicted="evicted" in signals, is_contended="again" in signals)


class Listener:
    """Passes notifications on.

    Through a pooler in transaction mode LISTEN succeeds, and nothing is ever heard. So it sends itself a notification:
    until one has returned, `hears` is false and workers poll.

    Parameters
    ----------
    listen_url
        A database connection that is this process's alone.
    on_notification
        Called with what is to be done, and with what; see `bulkport.notify_workers`. After each (re)connect it is
        called with `queue` and nothing, as some may have been missed.
    """

    def __init__(self, listen_url: str, on_notification: Callable[[str, str], None]) -> None:
        self._conninfo = patient_conninfo(listen_url)
        self._on_notification = on_notification
        self.hears = False
        """Whether notifications come through."""

    async def run(self) -> None:
        """Listen until cancelled."""
        backoff = reconnecting()
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._conninfo, autocommit=True, prepare_threshold=None
                ) as connection:
                    await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(queries.CHANNEL)))
                    backoff.reset()
                    self._on_notification("queue", "")
                    await self._listen(connection)
            except psycopg.OperationalError as error:
                delay = backoff.next_delay()
                _log.info("listening connection lost", error=str(error).strip(), retry_seconds=round(delay, 2))
                await asyncio.sleep(delay)
            finally:
                self.hears = False

    async def _listen(self, connection: psycopg.AsyncConnection[Any]) -> None:
        echo = f"echo {uuid.uuid4().hex}"
        await connection.execute("SELECT pg_notify(%s, %s)", (queries.CHANNEL, echo))
        timeout = _ECHO_SECONDS
        while True:
            async for notification in connection.notifies(timeout=timeout):
                if notification.payload == echo:
                    self.hears = True
                    continue
                what, _, detail = notification.payload.partition(" ")
                if what != "echo":
                    self._on_notification(what, detail)
            if not self.hears and timeout == _ECHO_SECONDS:
                _log.warning(
                    "no notifications of PostgreSQL come through: jobs are polled. Behind a pooler, "
                    "give the worker a listen_url that leads to PostgreSQL itself"
                )
            timeout = _CHECK_SECONDS
            await connection.execute("SELECT 1")
