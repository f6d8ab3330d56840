"""The jobs that one worker holds: how it claims them, and how it gives them back with their outcome."""

import asyncio
import os
import socket
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from typing import Any, Final

import psycopg
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager
from psycopg.types.json import Jsonb

from bulkport.jobs.errors import ArgumentsDoNotFit, UnknownTask
from bulkport.jobs.port import WorkerOptions
from bulkport.jobs.procrastinate_engine import queries
from bulkport.jobs.procrastinate_engine.connector import LinkConnector
from bulkport.jobs.procrastinate_engine.error_text import describe, type_of
from bulkport.jobs.procrastinate_engine.link import Backoff, DatabaseLink, LinkClosed, wait_for_event
from bulkport.jobs.procrastinate_engine.notes import notes_of_run
from bulkport.jobs.procrastinate_engine.outcomes import Ending, RunOutcome
from bulkport.jobs.run_output import RunNotes
from bulkport.logs import get_logger

_log = get_logger(__name__)

_PERSIST_TRIES = 3
_PAUSE_AFTER_REFUSAL_SECONDS = 1.0
_DEFERENCE_SECONDS = 0.01
"""Time that a server busy with a heavy job leaves to the others to claim the next one: some pickups long."""
_DISTRIBUTION: Final = "commandapi"
_WAITING: Final = frozenset({"scheduled", "retrying"})


@dataclass(slots=True)
class Claim:
    """A job in this worker's hands, and what came of its runs before."""

    failures: int = 0
    runs: int = 0
    lost_runs: int = 0
    """Runs during which the worker died."""
    is_begun: bool = False
    """Whether its coroutine runs, so that it will surely be given back."""
    outcome: RunOutcome | None = None


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
    on_waiting
        Called with the seconds until a job that ended here is to run again, if it waits for that.
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
        on_waiting: Callable[[float], None],
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
        self._on_waiting = on_waiting
        self._claims: dict[int, Claim] = {}
        self._heavy: set[int] = set()

    # What Procrastinate's worker calls

    async def register_worker(self) -> int:
        """Take a lease out and return its worker id."""
        rows = await self._link.fetch_all(
            queries.REGISTER,
            {
                "name": self._options.server_name,
                "host": socket.gethostname(),
                "process_id": os.getpid(),
                "version": metadata.version(_DISTRIBUTION),
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
                rows = await self._link.fetch_all(queries.CLAIM, arguments, give_up=self._stop_claiming)
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
                return await self._hold(rows[0])
            if notified == self._notifier.notified:
                break
            # Procrastinate's worker forgets a notification that came in while it fetched: look once more.
        return None

    async def _hold(self, row: dict[str, Any]) -> Job:
        job = Job.from_row(row)
        claim = self._claims[row["id"]] = Claim(row["failures"] or 0, row["runs"] or 0, row["lost_runs"])
        if job.task_name in self._heavy_tasks:
            self._heavy.add(row["id"])
        if job.task_name not in self._known_tasks:
            claim.outcome = await self._outcome_of_unknown(job)
        return job

    async def _outcome_of_unknown(self, job: Job) -> RunOutcome:
        """Another server may know the task, so meeting it here uses up no attempt; too often in a row, and it fails."""
        policy = self._options.unknown_task_retry
        error = UnknownTask(f"no task named {job.task_name} is declared in this worker")
        log = _log.bind(job_id=job.id, task=job.task_name, error=describe(error))
        try:
            rows = await self._link.fetch_all(queries.COUNT_UNKNOWN, {"job_id": job.id, "error_type": type_of(error)})
        except psycopg.Error:
            log.exception("earlier runs could not be counted")
            return RunOutcome(Ending.HANDED_BACK)
        times = rows[0]["runs"] + 1
        if policy.allows_attempt_after(times):
            delay = policy.delay_after(times)
            log.warning("task not known here", times=times, retry_seconds=round(delay, 2))
            return RunOutcome.of_error(Ending.AGAIN, error, 0.0, delay)
        log.error("job failed")
        return RunOutcome.of_error(Ending.FAILED, error, 0.0)

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:
        """Write the outcome that was decided on; without one, the run was cut off before it began, or could not."""
        if status is Status.FAILED and self.claim_of(job).outcome is None:
            error = ArgumentsDoNotFit("no task can be called with arguments of these names")
            _log.error("job failed", job_id=job.id, task=job.task_name, error=describe(error))
            self.decide(job, RunOutcome.of_error(Ending.FAILED, error, 0.0))
        await self._write(job)

    async def retry_job(
        self,
        job: Job,
        retry_at: datetime | None = None,
        priority: int | None = None,
        queue: str | None = None,
        lock: str | None = None,
    ) -> None:
        """As `finish_job`: what comes next is part of the outcome."""
        await self._write(job)

    # What runs the tasks calls

    def claim_of(self, job: Job) -> Claim:
        """What is known of a job in hand."""
        assert job.id is not None
        return self._claims[job.id]

    def begin(self, job: Job) -> None:
        """Note that the job's coroutine runs; from here on it will surely be finished or put back."""
        self.claim_of(job).is_begun = True

    def decide(self, job: Job, outcome: RunOutcome) -> None:
        """Note how the run has ended; it is written next."""
        self.claim_of(job).outcome = outcome

    async def notes_of(self, job: Job) -> RunNotes:
        """Where the job's run takes its notes.

        Raises
        ------
        psycopg.Error
            What earlier runs have kept cannot be read.
        """
        return await notes_of_run(self._link, _fence(job), may_have_kept=self.claim_of(job).runs > 0)

    # What looks for lost jobs calls

    def holds(self, job_id: int, *, started: bool) -> bool:
        """Whether this worker has the job in hand; `started`: and its coroutine has begun."""
        claim = self._claims.get(job_id)
        return claim is not None and (claim.is_begun or not started)

    async def put_back(self, job_id: int, worker_id: int, attempts: int) -> bool:
        """Put a job back that this worker should run but does not; whether it was still so."""
        fence = {"job_id": job_id, "worker_id": worker_id, "attempts": attempts}
        lost = RunOutcome(Ending.LOST)
        rows = await self._link.fetch_all(queries.END_RUN, fence | self._arguments(lost))
        return rows[0]["entered"] is not None

    async def _write(self, job: Job) -> None:
        assert job.id is not None
        claim = self._claims[job.id]
        claim.is_begun = True
        outcome = claim.outcome or RunOutcome(Ending.HANDED_BACK)
        arguments = _fence(job) | self._arguments(outcome)
        said = {"job_id": job.id, "task": job.task_name, "outcome": outcome.ending}
        backoff = Backoff(first=0.2)
        try:
            for last_try in (*[False] * (_PERSIST_TRIES - 1), True):
                try:
                    rows = await self._link.fetch_all(queries.END_RUN, arguments)
                except LinkClosed:
                    _log.warning("job outcome not written: the database is away; the job will run again", **said)
                    return
                except psycopg.Error:
                    if last_try:
                        _log.exception("job outcome not written; the job will run again", **said)
                        return
                    await asyncio.sleep(backoff.next_delay())
                else:
                    if rows[0]["entered"] is None:
                        _log.warning("job outcome not written: the job is no longer this worker's", **said)
                    elif rows[0]["entered"] in _WAITING:
                        self._on_waiting(outcome.delay_seconds)
                    return
        finally:
            del self._claims[job.id]
            self._heavy.discard(job.id)

    def _arguments(self, outcome: RunOutcome) -> dict[str, Any]:
        return {
            "outcome": outcome.ending.value,
            "server": self._options.server_name,
            "seconds": outcome.seconds,
            "result": None if outcome.result is None else Jsonb(outcome.result),
            "note": outcome.note,
            "error_type": outcome.error_type,
            "error": outcome.error,
            "traceback": outcome.traceback,
            "delay": outcome.delay_seconds,
            "priority": outcome.priority,
        }


def _fence(job: Job) -> dict[str, Any]:
    """What tells this run of the job from any other; see `queries.py`."""
    return {"job_id": job.id, "worker_id": job.worker_id, "attempts": job.attempts}
