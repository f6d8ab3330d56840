"""The jobs that one worker holds: how it claims them, and how it gives them back with their outcome."""

import asyncio
import os
import socket
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any, LiteralString

import psycopg
import structlog
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager
from procrastinate.utils import utcnow
from psycopg.rows import DictRow

from bulkport.background.errors import UnknownTask
from bulkport.background.port import WorkerOptions
from bulkport.background.procrastinate_engine import queries
from bulkport.background.procrastinate_engine.connector import LinkConnector
from bulkport.background.procrastinate_engine.error_text import describe
from bulkport.background.procrastinate_engine.link import Backoff, DatabaseLink, LinkClosed, wait_for_event

_log = structlog.get_logger(__name__)

_PERSIST_TRIES = 3
_PAUSE_AFTER_REFUSAL_SECONDS = 1.0
_DEFERENCE_SECONDS = 0.01
"""Time that a server busy with a heavy job leaves to the others to claim the next one: some pickups long."""
_ERROR_TEXT_LENGTH = 10_000


class JobLedger(JobManager):
    """Procrastinate's job store as one worker sees it, made to survive what the original does not.

    A claim needs the worker's lease; an outcome is written only if the job is still this very run's; both wait for a
    database that is away; and a statement that PostgreSQL refuses never ends the worker.

    Parameters
    ----------
    connector
        Where Procrastinate's own statements and notifications go.
    link
        Where this ledger's statements go.
    options
        The server's options.
    known_tasks
        Names of the tasks that this process can run.
    heavy_tasks
        Names of those that keep the process busy.
    stop_claiming
        Set when the worker ends: no job is claimed any more.
    on_registered
        Called with the worker id as soon as there is a lease.
    on_evicted
        Called when a claim finds the lease gone.
    """

    def __init__(
        self,
        connector: LinkConnector,
        link: DatabaseLink,
        options: WorkerOptions,
        *,
        known_tasks: AbstractSet[str],
        heavy_tasks: AbstractSet[str],
        stop_claiming: asyncio.Event,
        on_registered: Callable[[int], None],
        on_evicted: Callable[[], None],
    ) -> None:
        super().__init__(connector)
        self._notifier = connector
        self._link = link
        self._options = options
        self._known_tasks = known_tasks
        self._heavy_tasks = heavy_tasks
        self._stop_claiming = stop_claiming
        self._on_registered = on_registered
        self._on_evicted = on_evicted
        self._claimed: dict[int, bool] = {}
        self._heavy: set[int] = set()
        self._due: set[asyncio.TimerHandle] = set()

    # What Procrastinate's worker calls

    async def register_worker(self) -> int:
        """Take a lease out and return its worker id."""
        rows = await self._link.fetch_all(
            queries.REGISTER,
            {
                "name": self._options.server_name,
                "host": socket.gethostname(),
                "process_id": os.getpid(),
                "queues": None if self._options.queues is None else list(self._options.queues),
                "concurrency": self._options.concurrency,
            },
            give_up=self._stop_claiming,
        )
        worker_id: int = rows[0]["worker_id"]
        self._on_registered(worker_id)
        return worker_id

    async def unregister_worker(self, worker_id: int) -> None:
        """Give the lease back; with the database away it runs out by itself."""
        for due in self._due:
            due.cancel()
        try:
            await self._link.fetch_all(queries.UNREGISTER, {"worker_id": worker_id}, give_up=self._stop_claiming)
        except psycopg.Error as error:
            _log.warning("lease not given back", worker_id=worker_id, error=str(error).strip())

    async def prune_stalled_workers(self, seconds_since_heartbeat: float) -> list[int]:
        """Nothing: dead servers are judged by `SilenceWatch`, not by the time of day."""
        return []

    async def update_heartbeat(self, worker_id: int) -> None:
        """Nothing: the `Pulse` beats."""

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        """Claim the next job, if there is one."""
        arguments = {"queues": None if queues is None else list(queues), "worker_id": worker_id}
        if self._heavy:
            await wait_for_event(self._stop_claiming, _DEFERENCE_SECONDS)
        while not self._stop_claiming.is_set():
            notified = self._notifier.notified
            try:
                rows = await self._link.fetch_all(queries.FETCH, arguments, give_up=self._stop_claiming)
            except LinkClosed:
                break
            except psycopg.Error:
                # Such as a statement timeout, or two workers that raced for one lock.
                _log.exception("job could not be claimed", worker_id=worker_id)
                await wait_for_event(self._stop_claiming, _PAUSE_AFTER_REFUSAL_SECONDS)
                break
            if not rows:
                self._on_evicted()
                break
            if rows[0]["id"] is not None:
                return await self._hold(Job.from_row(rows[0]))
            if notified == self._notifier.notified:
                break
            # Procrastinate's worker forgets a notification that came in while it fetched: look once more.
        return None

    async def _hold(self, job: Job) -> Job:
        assert job.id is not None
        self._claimed[job.id] = False
        if job.task_name in self._heavy_tasks:
            self._heavy.add(job.id)
        if job.task_name not in self._known_tasks:
            # The worker fails it; what is kept and logged about it is written here.
            error = UnknownTask(f"no task named {job.task_name} is declared in this worker")
            _log.error("job failed", job_id=job.id, task=job.task_name, error=describe(error))
            try:
                await self.record_failure(job, 1, describe(error))
            except psycopg.Error:
                _log.exception("failed attempt could not be counted", job_id=job.id)
        return job

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:
        """Write a final outcome."""
        await self._persist(queries.FINISH, job, status.value, status=status.value)

    async def retry_job(
        self,
        job: Job,
        retry_at: datetime | None = None,
        priority: int | None = None,
        queue: str | None = None,
        lock: str | None = None,
    ) -> None:
        """Put a job back in its queue."""
        # Handed on as a delay: the database's clock decides, so that servers' clocks need not agree.
        delay = 0.0 if retry_at is None else max(0.0, (retry_at - utcnow()).total_seconds())
        await self._persist(queries.RUN_AGAIN, job, "again", delay=delay, priority=priority)
        if delay > 0 and not self._stop_claiming.is_set():
            self._wake_after(delay)

    # What runs the tasks calls

    def begin(self, job: Job) -> None:
        """Note that the job's coroutine runs; from here on it will surely be finished or put back."""
        assert job.id is not None
        self._claimed[job.id] = True

    async def failures(self, job: Job) -> int:
        """Attempts of the job that ended in an error so far."""
        rows = await self._link.fetch_all(queries.FAILURES, {"job_id": job.id})
        return rows[0]["failures"] if rows else 0

    async def record_failure(self, job: Job, failures: int, error: str) -> None:
        """Keep the number of failed attempts and the last one's error, if the job is still this run's."""
        text = error[:_ERROR_TEXT_LENGTH].replace("\0", "\ufffd").encode("utf-8", "replace").decode()
        await self._link.fetch_all(queries.RECORD_FAILURE, _fence(job) | {"failures": failures, "error": text})

    # What looks for lost jobs calls

    def holds(self, job_id: int, *, started: bool) -> bool:
        """Whether this worker has the job in hand; `started`: and its coroutine has begun."""
        return self._claimed.get(job_id, False) if started else job_id in self._claimed

    async def _persist(self, query: LiteralString, job: Job, outcome: str, **arguments: Any) -> None:
        assert job.id is not None
        self._claimed[job.id] = True
        arguments |= _fence(job)
        log = _log.bind(job_id=job.id, task=job.task_name, outcome=outcome)
        backoff = Backoff(first=0.2)
        try:
            for last_try in (*[False] * (_PERSIST_TRIES - 1), True):
                try:
                    rows = await self._link.fetch_all(query, arguments)
                except LinkClosed:
                    log.warning("job outcome not written: the database is away; the job will run again")
                    return
                except psycopg.Error:
                    if last_try:
                        log.exception("job outcome not written; the job will run again")
                        return
                    await asyncio.sleep(backoff.next_delay())
                else:
                    self._note_if_gone(rows, log)
                    return
        finally:
            del self._claimed[job.id]
            self._heavy.discard(job.id)

    @staticmethod
    def _note_if_gone(rows: list[DictRow], log: Any) -> None:
        if not rows:
            log.warning("job outcome not written: the job is no longer this worker's")

    def _wake_after(self, delay: float) -> None:
        def fire() -> None:
            self._due.discard(handle)
            self._notifier.wake()

        handle = asyncio.get_running_loop().call_later(delay, fire)
        self._due.add(handle)


def _fence(job: Job) -> dict[str, Any]:
    """What tells this run of the job from any other; see `queries.py`."""
    return {"job_id": job.id, "worker_id": job.worker_id, "attempts": job.attempts}
