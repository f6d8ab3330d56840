"""A worker from the lease it takes out to the lease it gives back."""

import asyncio
import os
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib import metadata
from typing import Any, Final

import psycopg

from bulkport.backoff import Backoff
from bulkport.jobs.context import TaskDefinition
from bulkport.jobs.errors import WorkerLost
from bulkport.jobs.port import WorkerOptions
from bulkport.jobs.postgres import queries
from bulkport.jobs.postgres.completer import WAITING, Completer, EndedRun
from bulkport.jobs.postgres.connection import GivenUp, WorkerConnection, wait_for_event
from bulkport.jobs.postgres.executor import RunningJobs
from bulkport.jobs.postgres.heartbeat import Heartbeat, LoopWatch
from bulkport.jobs.postgres.maintenance import RELEASE_DUE, SETTLE, Chore, Chores, due_chore, settle_chore
from bulkport.jobs.postgres.producer import Claimer, Listener
from bulkport.jobs.postgres.rescuer import Rescuer
from bulkport.jobs.postgres.run_output import RunOutputStore
from bulkport.jobs.postgres.stacks import StackTaker
from bulkport.logs import get_logger
from bulkport.task_scope import end_tasks

_log = get_logger(__name__)

ChoreFactory = Callable[[WorkerConnection], Chore]
"""Makes a chore that works on the given connection, which is for chores alone."""

_DISTRIBUTION: Final = "bulkport"
_HAND_BACK_SECONDS: Final = 5.0
"""Time that cancelled jobs have, after the grace period, to end and be put back."""
_PAUSE_AFTER_REFUSAL_SECONDS: Final = 1.0
_DEFERENCE_SECONDS: Final = 0.01
"""Time that a server busy with a heavy job leaves to the others to claim the next one: some pickups long."""
_FIRST_POLL_SECONDS: Final = 0.02
_CONTENDED_SECONDS: Final = 0.003
_MOST_BACKLOG: Final = 1_000
"""Pending outcomes above which no job is claimed."""


class Worker:
    """One run of a worker.

    It ends when `stop` is set: no job is claimed any more, running jobs get `options.shutdown_seconds`, then they
    are cancelled and put back. It ends too when the worker has been silent for so long that another server may
    soon take its jobs over: it cancels them first, so that no job runs twice concurrently.
    """

    def __init__(
        self,
        tasks: Iterable[TaskDefinition],
        options: WorkerOptions,
        stop: asyncio.Event,
        chores: Iterable[ChoreFactory] = (),
    ) -> None:
        self._options = options
        self._stop = stop
        self._ending = asyncio.Event()
        self._abandon = asyncio.Event()
        self._lost = asyncio.Event()
        self._changed = asyncio.Event()
        self._has_work = True
        self._is_quiet = False
        self._worker_id = 0
        self._heartbeat: Heartbeat | None = None
        self._claims, self._outcomes, self._side, self._chores_connection = (
            WorkerConnection(options.database_url, self._abandon, options.schema) for _ in range(4)
        )
        self._completer = Completer(self._outcomes, options.server_name, self._on_written)
        self._output = RunOutputStore(self._side)
        self._running = RunningJobs(tasks, self._completer, self._output, self._ending.is_set, self._look_again)
        self._claimer = Claimer(self._claims, self._running.tasks, self._running.heavy_tasks, options.queues)
        self._chores = Chores(
            [
                due_chore(self._chores_connection, options.poll_seconds),
                settle_chore(self._chores_connection, options.poll_seconds),
                *(make(self._chores_connection) for make in chores),
            ]
        )
        self._listener = Listener(options.listen_url or options.database_url, self._on_notification)

    async def run(self) -> None:
        """Run until stopped or lost; see `JobEngine.run_worker`."""
        loop_watch = LoopWatch(self._options.blocked_seconds, self._running.described)
        duties = [asyncio.create_task(self._stop.wait(), name="stop")]
        claiming = asyncio.create_task(self._work(loop_watch, duties), name="claims")
        try:
            await asyncio.wait({claiming, *duties}, return_when=asyncio.FIRST_COMPLETED)
            while not self._stop.is_set() and not self._lost.is_set() and not claiming.done():
                await asyncio.wait({claiming, *duties}, return_when=asyncio.FIRST_COMPLETED)
                if any(duty.done() for duty in duties):
                    break
            self._end_claims()
            await self._drain(claiming)
        except asyncio.CancelledError:
            self._end_claims()
            self._running.cancel_all()
            written = asyncio.create_task(self._all_written(claiming), name="hand back")
            await asyncio.wait({written}, timeout=_HAND_BACK_SECONDS)
            written.cancel()
            self._abandon.set()
            raise
        finally:
            await self._end(duties, claiming)
        if claiming.done() and not claiming.cancelled():
            claiming.result()
        if self._lost.is_set() and not self._stop.is_set():
            raise WorkerLost
        for duty in duties:
            if duty.done() and not duty.cancelled():
                duty.result()

    async def _work(self, loop_watch: LoopWatch, duties: list[asyncio.Task[Any]]) -> None:
        """Take a lease out, and claim jobs until the end."""
        try:
            await self._register()
        except GivenUp:
            return
        heartbeat = Heartbeat(
            self._options, self._worker_id, loop_watch, self._completer.ended, StackTaker(self._running.find)
        )
        heartbeat.start()
        self._heartbeat = heartbeat
        rescuer = Rescuer(
            self._side, self._options, self._worker_id, holds=self._running.holds, cancel=self._running.cancel
        )
        for work, name in (
            (self._watch_heartbeat(heartbeat), "heartbeat watch"),
            (self._listener.run(), "listener"),
            (self._completer.run(), "outcomes"),
            (rescuer.run(), "rescue"),
            (self._chores.run(), "chores"),
            (loop_watch.tick(), "loop watch"),
        ):
            duties.append(asyncio.create_task(work, name=name))
        _log.info("worker started", worker_id=self._worker_id, server=self._options.server_name)
        self._stop_watching_duties(duties)
        await self._claim_until_the_end()

    def _stop_watching_duties(self, duties: list[asyncio.Task[Any]]) -> None:
        # Whoever waits for the first of them to end began before there were these.
        for duty in duties[1:]:
            duty.add_done_callback(lambda _: self._end_claims())

    async def _register(self) -> None:
        options = self._options
        rows = await self._claims.fetch_all(
            queries.REGISTER,
            {
                "name": options.server_name,
                "host": socket.gethostname(),
                "process_id": os.getpid(),
                "version": metadata.version(_DISTRIBUTION),
                "queues": None if options.queues is None else list(options.queues),
                "tasks": self._running.tasks,
                "concurrency": options.concurrency,
            },
            give_up=self._stop,
        )
        self._worker_id = rows[0]["worker_id"]
        for part in (self._completer, self._output, self._claimer):
            part.worker_id = self._worker_id

    # Claiming

    async def _claim_until_the_end(self) -> None:
        polls = Backoff(_FIRST_POLL_SECONDS, self._options.poll_seconds, jitter=0)
        while await self._is_there_work(polls.next_delay()):
            self._has_work = False
            if self._running.has_heavy:
                await wait_for_event(self._ending, _DEFERENCE_SECONDS)
                if self._ending.is_set():
                    return
            if await self._claim():
                polls.reset()

    async def _is_there_work(self, poll: float) -> bool:
        """Wait until there may be jobs and there is a free slot for one; false: it is the end."""
        while not self._ending.is_set():
            free = self._free_slots
            if self._has_work and free:
                return True
            self._changed.clear()
            # Without notifications it looks often if there was something just now, and ever less often else.
            seconds = self._options.poll_seconds if self._listener.hears or not free else poll
            if not await wait_for_event(self._changed, seconds):
                self._has_work = True
        return False

    @property
    def _free_slots(self) -> int:
        if self._is_quiet or self._completer.backlog > _MOST_BACKLOG:
            return 0
        return max(0, self._options.concurrency - len(self._running))

    async def _claim(self) -> bool:
        """Claim as many jobs as there are free slots; whether there were any."""
        free = self._free_slots
        try:
            claim = await self._claimer.claim(free)
        except GivenUp:
            return False
        except psycopg.Error:
            # Such as a statement timeout, or two workers that raced for one lock.
            _log.exception("jobs could not be claimed", worker_id=self._worker_id)
            await wait_for_event(self._ending, _PAUSE_AFTER_REFUSAL_SECONDS)
            self._has_work = True
            return False
        if claim.is_evicted:
            self._lost.set()
            self._end_claims()
            return False
        for job in claim.jobs:
            self._running.start(job)
        # A claim takes few heavy jobs at a time. One that found none has left none: the next is notified.
        has_left_some = bool(claim.jobs) and self._running.has_heavy
        if len(claim.jobs) == free or claim.is_contended or has_left_some:
            self._has_work = True
        if claim.is_contended and not claim.jobs:
            await wait_for_event(self._ending, _CONTENDED_SECONDS)
        return bool(claim.jobs)

    def _look_again(self) -> None:
        """A slot is free."""
        self._changed.set()

    def _on_notification(self, what: str, detail: str) -> None:
        match what:
            case "queue":
                queues = self._options.queues
                if not detail or queues is None or detail in queues:
                    self._has_work = True
                    self._changed.set()
            case "cancel":
                with suppress(ValueError):
                    self._running.cancel(int(detail))
            case "stack":
                if self._heartbeat is not None:
                    self._heartbeat.hurry()
            case "batches":
                self._chores.hurry(SETTLE, 0.0, detail)
            case _:
                with suppress(ValueError):
                    self._chores.hurry(what, float(detail or 0))

    def _on_written(self, run: EndedRun, entered: str | None) -> None:
        self._running.forget(run.job_id, run.runs)
        if entered in WAITING:
            self._chores.hurry(RELEASE_DUE, run.outcome.delay)
        if not self._listener.hears:
            # It may have let others start.
            self._has_work = True
            self._changed.set()

    # Ending

    def _end_claims(self) -> None:
        self._ending.set()
        self._changed.set()

    async def _watch_heartbeat(self, heartbeat: Heartbeat) -> None:
        longest_age = self._options.stalled_seconds - self._options.heartbeat_seconds
        while not heartbeat.evicted and heartbeat.age_seconds < longest_age:
            self._heed(heartbeat.wanted)
            if await wait_for_event(self._lost, min(1.0, self._options.heartbeat_seconds / 2)):
                return
        self._lost.set()

    def _heed(self, wanted: str | None) -> None:
        """Carry out an operator's command to the server."""
        if self._is_quiet != (wanted is not None):
            self._is_quiet = wanted is not None
            _log.info("worker asked to be quiet" if self._is_quiet else "worker resumed", worker_id=self._worker_id)
            self._has_work = True
            self._changed.set()
        if wanted == "stop" and not self._stop.is_set():
            _log.info("worker asked to stop", worker_id=self._worker_id)
            self._stop.set()

    async def _drain(self, claiming: "asyncio.Task[None]") -> None:
        """Wait for the jobs to end: after a stop only for so long, otherwise until the database takes their outcome."""
        drained = asyncio.create_task(self._all_written(claiming), name="drain")
        cancelling = asyncio.create_task(self._cancel_when_lost(), name="cancel when lost")
        stopping = asyncio.create_task(self._stop.wait(), name="stop while draining")
        try:
            await asyncio.wait({drained, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not drained.done():
                await asyncio.wait({drained}, timeout=self._options.shutdown_seconds)
                self._running.cancel_all()
                await asyncio.wait({drained}, timeout=_HAND_BACK_SECONDS)
                self._abandon.set()
                await asyncio.wait({drained}, timeout=1.0)
        finally:
            for task in (drained, cancelling, stopping):
                task.cancel()

    async def _all_written(self, claiming: "asyncio.Task[None]") -> None:
        await asyncio.wait({claiming})
        await self._running.ended()
        if self._worker_id:
            await self._completer.flushed()

    async def _cancel_when_lost(self) -> None:
        await self._lost.wait()
        _log.warning("worker lost its lease; its running jobs are cancelled", worker_id=self._worker_id)
        self._running.cancel_all()

    async def _end(self, duties: list[asyncio.Task[Any]], claiming: "asyncio.Task[None]") -> None:
        await end_tasks(*duties, claiming)
        if len(self._running):
            # The heartbeat continues: these jobs live as long as the process and must not be started elsewhere before.
            _log.error("jobs do not stop; they end with the process", worker_id=self._worker_id)
            return
        if self._heartbeat is not None:
            self._heartbeat.stop()
        await self._unregister()
        for connection in (self._claims, self._outcomes, self._side, self._chores_connection):
            await connection.close()
        _log.info("worker stopped", worker_id=self._worker_id)

    async def _unregister(self) -> None:
        """Release the lease; during a database outage it expires by itself."""
        if not self._worker_id:
            return
        try:
            await self._claims.fetch_all(queries.UNREGISTER, {"worker_id": self._worker_id}, give_up=self._ending)
        except psycopg.Error as error:
            _log.warning("lease not released", worker_id=self._worker_id, error=str(error).strip())
