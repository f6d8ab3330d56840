"""Finding jobs that nobody runs any more, and putting them back in their queues.

A job in `doing` belongs to the server whose lease carries its worker id. Jobs get lost in three ways: their server
dies (its heartbeat stands still; its lease is deleted); their worker row is deleted; or their own server lives but
does not run them, because it could not write their outcome or never heard that its claim succeeded.
"""

import asyncio
import time

import psycopg

from bulkport.jobs.port import WorkerOptions
from bulkport.jobs.procrastinate_engine import queries
from bulkport.jobs.procrastinate_engine.ledger import JobLedger
from bulkport.jobs.procrastinate_engine.link import DatabaseLink
from bulkport.jobs.procrastinate_engine.silence import SilenceWatch
from bulkport.logs import get_logger

_log = get_logger(__name__)


class Rescuer:
    """Looks every heartbeat for dead servers and for lost jobs. Every worker does; together is safe.

    Parameters
    ----------
    link
        The worker's connection.
    ledger
        What the worker itself has in hand.
    options
        The server's options.
    worker_id
        The worker's own id.
    """

    def __init__(self, link: DatabaseLink, ledger: JobLedger, options: WorkerOptions, worker_id: int) -> None:
        self._link = link
        self._ledger = ledger
        self._interval = options.heartbeat_seconds
        self._worker_id = worker_id
        self._watch = SilenceWatch(options.stalled_seconds, longest_step=2 * options.heartbeat_seconds)
        self._suspects: set[tuple[int, int]] = set()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.look()
            except psycopg.Error:
                _log.exception("looking for lost jobs failed")
            await asyncio.sleep(self._interval)

    async def look(self) -> None:
        """Look once."""
        await self._evict_silent_servers()
        for orphan in await self._link.fetch_all(queries.RESCUE, {}):
            _log.warning(
                "job of a lost worker taken over",
                job_id=orphan["job_id"],
                lost_worker_id=orphan["lost_worker_id"],
                server=orphan["server"],
                state=orphan["entered"],
            )
        await self._run_own_lost_jobs()

    async def _evict_silent_servers(self) -> None:
        rows = await self._link.fetch_all(queries.LIST_HEARTBEATS, {})
        heartbeats = {row["worker_id"]: row["last_heartbeat"] for row in rows if row["worker_id"] != self._worker_id}
        dead = self._watch.look(heartbeats, time.monotonic())
        if not dead:
            return
        evicted = await self._link.fetch_all(
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

    async def _run_own_lost_jobs(self) -> None:
        # Twice in a row: a job may just be on its way between the database and this process.
        rows = await self._link.fetch_all(queries.LIST_OWN_JOBS, {"worker_id": self._worker_id})
        not_run = {(row["id"], row["attempts"]) for row in rows if not self._ledger.holds(row["id"], started=True)}
        for job_id, attempts in sorted(not_run & self._suspects):
            if await self._ledger.put_back(job_id, self._worker_id, attempts):
                _log.warning("job that this worker had lost put back", job_id=job_id)
        self._suspects = not_run - self._suspects
