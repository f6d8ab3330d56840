"""Claiming: as many jobs as a worker has free slots, in one statement."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from bulkport.jobs.job import JSONValue
from bulkport.jobs.postgres import queries
from bulkport.jobs.postgres.connection import WorkerConnection

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
        signals = {row["signal"] for row in rows}
        jobs = [_claimed(row) for row in rows if row["signal"] is None]
        # Jobs at the head that somebody holds for long must not hide those behind them.
        self._reach = min(4 * self._reach, _MOST_REACH) if "again" in signals and not jobs else _REACH
        return Claim(jobs, is_evicted="evicted" in signals, is_contended="again" in signals)


def _claimed(row: dict[str, Any]) -> ClaimedJob:
    return ClaimedJob(
        row["job_id"],
        row["task"],
        row["queue"],
        row["priority"],
        row["args"],
        row["runs"],
        row["failures"],
        row["lost_runs"],
    )
