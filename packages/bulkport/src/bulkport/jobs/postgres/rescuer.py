"""Rescues jobs of dead workers: finds them and requeues them.

A job in `processing` belongs to the server whose lease carries its worker id. Jobs get lost in three ways: their server
dies (its heartbeat stands still; its lease is deleted); their lease is deleted; or their own server lives but does not
run them, because it could not write their outcome or never heard that its claim succeeded.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import psycopg

from bulkport.jobs.port import WorkerOptions
from bulkport.jobs.postgres import queries
from bulkport.jobs.postgres.completer import EndedRun, Ending, RunResult
from bulkport.jobs.postgres.connection import WorkerConnection
from bulkport.logs import get_logger


@dataclass(slots=True)
class _Observation:
    heartbeat: datetime
    unseen_seconds: float


class FailureDetector:
    """Adds up, on the watcher's own clock, how long each server's heartbeat has not moved.

    Comparing heartbeats with the time of day instead would take every server for dead when the database's clock is
    set, and whenever the database or the network was away for longer than `stalled_seconds`: nobody could beat
    then, and the first server to come back would start the running jobs of all the others a second time.

    Parameters
    ----------
    stalled_seconds
        Watched time without a heartbeat after which a server is dead.
    longest_step
        Seconds that one look adds at most, whatever time has passed since the look before: in a longer gap the
        watcher itself was away and saw nothing.
    """

    def __init__(self, stalled_seconds: float, longest_step: float) -> None:
        self._stalled_seconds = stalled_seconds
        self._longest_step = longest_step
        self._observations: dict[int, _Observation] = {}
        self._looked_at: float | None = None

    def look(self, heartbeats: Mapping[int, datetime], now: float) -> dict[int, datetime]:
        """Take note of the present heartbeats.

        Parameters
        ----------
        heartbeats
            Last heartbeat by worker id.
        now
            Monotonic time in seconds.

        Returns
        -------
        The servers that are dead, with the heartbeat that was watched.
        """
        step = 0.0 if self._looked_at is None else min(now - self._looked_at, self._longest_step)
        self._looked_at = now
        known = self._observations
        self._observations = {
            worker_id: _Observation(heartbeat, seen.unseen_seconds + step)
            if (seen := known.get(worker_id)) is not None and seen.heartbeat == heartbeat
            else _Observation(heartbeat, 0.0)
            for worker_id, heartbeat in heartbeats.items()
        }
        return {
            worker_id: observation.heartbeat
            for worker_id, observation in self._observations.items()
            if observation.unseen_seconds >= self._stalled_seconds
        }


_log = get_logger(__name__)


class Rescuer:
    """Looks every heartbeat for dead servers and for lost jobs. Every worker does; together is safe.

    Parameters
    ----------
    connection
        The worker's connection for this.
    options
        The server's options.
    worker_id
        The worker's own id.
    holds
        Whether the worker runs a job that had so many runs before, or is to write this run's outcome.
    cancel
        Cancels a job that the worker runs.
    """

    def __init__(
        self,
        connection: WorkerConnection,
        options: WorkerOptions,
        worker_id: int,
        *,
        holds: Callable[[int, int], bool],
        cancel: Callable[[int], None],
    ) -> None:
        self._connection = connection
        self._server_name = options.server_name
        self._interval = options.heartbeat_seconds
        self._worker_id = worker_id
        self._holds = holds
        self._cancel = cancel
        self._detector = FailureDetector(options.stalled_seconds, longest_step=2 * options.heartbeat_seconds)
        self._suspects: set[tuple[int, int]] = set()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.look()
            except psycopg.Error:
                _log.exception("search for lost jobs failed")
            await asyncio.sleep(self._interval)

    async def look(self) -> None:
        """Look once."""
        await self._evict_silent_servers()
        for orphan in await self._connection.fetch_all(queries.RESCUE, {}):
            _log.warning(
                "job of a lost worker taken over",
                job_id=orphan["job_id"],
                lost_worker_id=orphan["lost_worker_id"],
                server=orphan["server"],
                state=orphan["entered"],
            )
        await self.look_at_own_jobs()

    async def look_at_own_jobs(self) -> None:
        """Requeue jobs that this worker should run but does not, and cancel jobs that were asked to stop."""
        rows = await self._connection.fetch_all(queries.LIST_OWN_JOBS, {"worker_id": self._worker_id})
        for row in rows:
            if row["cancel_requested"]:
                self._cancel(row["job_id"])
        # Twice in a row: a job may just be on its way between the database and this process.
        not_run = {(row["job_id"], row["runs"]) for row in rows if not self._holds(row["job_id"], row["runs"])}
        for job_id, runs in sorted(not_run & self._suspects):
            await self._put_back(EndedRun(job_id, runs, "", RunResult(Ending.LOST, None)))
        self._suspects = not_run - self._suspects

    async def _put_back(self, run: EndedRun) -> None:
        arguments = {"worker_id": self._worker_id, "server": self._server_name, "outcomes": json.dumps([run.row()])}
        rows = await self._connection.fetch_all(queries.FINISH, arguments)
        if rows[0]["entered"] not in (None, "locked"):
            _log.warning("job that this worker had lost returned to queue", job_id=run.job_id)

    async def _evict_silent_servers(self) -> None:
        rows = await self._connection.fetch_all(queries.LIST_HEARTBEATS, {})
        heartbeats = {row["worker_id"]: row["last_heartbeat"] for row in rows if row["worker_id"] != self._worker_id}
        dead = self._detector.look(heartbeats, time.monotonic())
        if not dead:
            return
        evicted = await self._connection.fetch_all(
            queries.EVICT_SILENT, {"worker_ids": list(dead), "heartbeats": list(dead.values())}
        )
        for server in evicted:
            _log.warning(
                "server is dead",
                server=server["name"],
                host=server["host"],
                process_id=server["process_id"],
                lost_worker_id=server["worker_id"],
            )
