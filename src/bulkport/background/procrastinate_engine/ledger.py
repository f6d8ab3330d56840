"""The jobs that one worker holds: how it claims them, and how it gives them back with their outcome."""

import asyncio
import os
import socket
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, LiteralString

import psycopg
import structlog
from procrastinate.connector import BaseConnector
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager
from procrastinate.utils import utcnow
from psycopg.rows import DictRow

from bulkport.background.port import WorkerOptions
from bulkport.background.procrastinate_engine import queries
from bulkport.background.procrastinate_engine.link import Backoff, DatabaseLink, LinkClosed, wait_for_event

_log = structlog.get_logger(__name__)

_PERSIST_TRIES = 3
_PAUSE_AFTER_REFUSAL_SECONDS = 1.0
_ERROR_TEXT_LENGTH = 10_000


class JobLedger(JobManager):
    """Procrastinate's job store as one worker sees it, made to survive what the original does not.

    A claim needs the worker's lease; an outcome is written only if the job is still this very run's; both wait for a
    database that is away; and a statement that PostgreSQL refuses never ends the worker.

    Parameters
    ----------
    connector
        Where Procrastinate's own statements go.
    link
        Where this ledger's statements go.
    options
        The server's options.
    stop_claiming
        Set when the worker ends: no job is claimed any more.
    on_registered
        Called with the worker id as soon as there is a lease.
    on_evicted
        Called when a claim finds the lease gone.
    """

    def __init__(
        self,
        connector: BaseConnector,
        link: DatabaseLink,
        options: WorkerOptions,
        stop_claiming: asyncio.Event,
        on_registered: Callable[[int], None],
        on_evicted: Callable[[], None],
    ) -> None:
        super().__init__(connector)
        self._link = link
        self._options = options
        self._stop_claiming = stop_claiming
        self._on_registered = on_registered
        self._on_evicted = on_evicted
        self._claimed: dict[int, bool] = {}
        self._due: set[asyncio.TimerHandle] = set()
        self._wake: Callable[[], Any] = lambda: None

    def call_when_due(self, wake: Callable[[], Any]) -> None:
        """Have `wake` called when a job that this worker put off comes due."""
        self._wake = wake

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
        try:
            rows = await self._link.fetch_all(
                queries.FETCH,
                {"queues": None if queues is None else list(queues), "worker_id": worker_id},
                give_up=self._stop_claiming,
            )
        except LinkClosed:
            return None
        except psycopg.Error:
            # Such as a statement timeout, or two workers that raced for one lock.
            _log.exception("job could not be claimed", worker_id=worker_id)
            await wait_for_event(self._stop_claiming, _PAUSE_AFTER_REFUSAL_SECONDS)
            return None
        if not rows:
            self._on_evicted()
            return None
        if rows[0]["id"] is None:
            return None
        job = Job.from_row(rows[0])
        assert job.id is not None
        self._claimed[job.id] = False
        if job.task_name not in self._known_tasks:
            # The worker fails it; this is the line in the log about it.
            _log.error("job failed", job_id=job.id, task=job.task_name, error="no task of this name is known here")
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
        """Keep the number of failed attempts and the last one's error."""
        text = error[:_ERROR_TEXT_LENGTH].replace("\0", "\ufffd").encode("utf-8", "replace").decode()
        await self._link.fetch_all(queries.RECORD_FAILURE, {"job_id": job.id, "failures": failures, "error": text})

    # What looks for lost jobs calls

    def holds(self, job_id: int, *, started: bool) -> bool:
        """Whether this worker has the job in hand; `started`: and its coroutine has begun."""
        return self._claimed.get(job_id, False) if started else job_id in self._claimed

    async def _persist(self, query: LiteralString, job: Job, outcome: str, **arguments: Any) -> None:
        assert job.id is not None
        self._claimed[job.id] = True
        arguments |= {"job_id": job.id, "worker_id": job.worker_id, "attempts": job.attempts}
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

    @staticmethod
    def _note_if_gone(rows: list[DictRow], log: Any) -> None:
        if not rows:
            log.warning("job outcome not written: the job is no longer this worker's")

    def _wake_after(self, delay: float) -> None:
        def fire() -> None:
            self._due.discard(handle)
            self._wake()

        handle = asyncio.get_running_loop().call_later(delay, fire)
        self._due.add(handle)
