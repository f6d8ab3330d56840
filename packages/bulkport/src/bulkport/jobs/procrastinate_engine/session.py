"""A worker from the lease it takes out to the lease it gives back: Procrastinate's worker, with what keeps it safe."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from procrastinate.app import App
from procrastinate.job_context import AbortReason, JobContext
from procrastinate.worker import Worker

from bulkport.jobs.context import TaskDefinition
from bulkport.jobs.errors import WorkerLost
from bulkport.jobs.executor import report_unended
from bulkport.jobs.port import WorkerOptions
from bulkport.jobs.procrastinate_engine.connector import LinkConnector
from bulkport.jobs.procrastinate_engine.engine_log import quieten_procrastinate
from bulkport.jobs.procrastinate_engine.execution import TaskRunner
from bulkport.jobs.procrastinate_engine.housekeeping import RELEASE_DUE, Chore, Housekeeping, due_chore
from bulkport.jobs.procrastinate_engine.ledger import JobLedger
from bulkport.jobs.procrastinate_engine.link import DatabaseLink
from bulkport.jobs.procrastinate_engine.loop_watch import LoopWatch
from bulkport.jobs.procrastinate_engine.pulse import Pulse
from bulkport.jobs.procrastinate_engine.rescue import Rescuer
from bulkport.logs import get_logger

_log = get_logger(__name__)

ChoreFactory = Callable[[DatabaseLink], Chore]
"""Makes a chore that works on the given connection, which is for chores alone."""

_NEVER_SECONDS = 1e8
_CANCEL_POLL_SECONDS = 2.0
_HAND_BACK_SECONDS = 5.0
"""Time that cancelled jobs have, after the grace period, to end and be put back."""


class _JobWorker(Worker):
    """Procrastinate's worker, with a way to end the jobs that it is already waiting for.

    Parameters
    ----------
    cancel_grace
        Seconds by a task's name; see `TaskDefinition.cancel_grace_seconds`.
    """

    def __init__(self, app: App, cancel_grace: Mapping[str, float], **options: Any) -> None:
        super().__init__(app, **options)
        self._cancel_grace = cancel_grace

    def running_jobs(self) -> dict[asyncio.Task[Any], tuple[int, str]]:
        """Id and task of each running job, by the asyncio task it runs in."""
        return {run: (context.job.id or 0, context.job.task_name) for run, context in self._running_jobs.items()}

    def _log_extra(self, action: str, *_: Any, **__: Any) -> dict[str, Any]:
        # Procrastinate describes the job four times a run, for lines that `engine_log` drops but for the action.
        return {"action": action}

    def _abort_job(self, process_job_task: asyncio.Task[Any], context: JobContext, reason: AbortReason) -> None:
        super()._abort_job(process_job_task, context, reason)
        job, why = context.job, "it was cancelled" if reason is AbortReason.USER_REQUEST else "its worker shuts down"
        seconds = self._cancel_grace.get(job.task_name, 0.0)
        report = asyncio.get_running_loop().call_later(
            seconds, report_unended, job.id, job.task_name, process_job_task, why, seconds
        )
        process_job_task.add_done_callback(lambda _: report.cancel())

    async def cancel_jobs(self) -> None:
        """Cancel the running jobs and put them back, as at the end of a grace period."""
        self.shutdown_graceful_timeout = 0
        self.request_stop()
        await self._abort_running_jobs()

    async def _abort_running_jobs(self) -> None:
        # The original cancels a job again that is being cancelled, and so interrupts the writing of its outcome.
        for task, context in list(self._running_jobs.items()):
            if context.job.id not in self._job_ids_to_abort:
                self._abort_job(task, context, AbortReason.SHUTDOWN)
        await asyncio.gather(*self._running_jobs, return_exceptions=True)

    def request_stop(self) -> None:
        """Claim no more jobs, and end when the running ones have ended or their grace period has."""
        super().stop()  # type: ignore[no-untyped-call]

    async def run_until_stopped(self) -> None:
        """Run; see `request_stop`."""
        await super().run()  # type: ignore[no-untyped-call]


class WorkerSession:
    """One run of a worker.

    It ends when `stop` is set: no job is claimed any more, running jobs get `options.shutdown_seconds`, then they
    are cancelled and put back. It ends too when the worker has been silent for so long that another server may
    soon take its jobs over: it cancels them first, so that no job runs twice at one time.
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
        self._registered = asyncio.Event()
        self._pulse: Pulse | None = None
        self._loop_watch: LoopWatch | None = None
        self._worker_id = 0
        self._link = DatabaseLink(options.database_url, self._abandon)
        self._chores_link = DatabaseLink(options.database_url, self._abandon)
        self._housekeeping = Housekeeping(
            [due_chore(self._chores_link, options.poll_seconds), *(make(self._chores_link) for make in chores)]
        )
        self._connector = LinkConnector(options.database_url, self._link, self._housekeeping.hurry)
        definitions = list(tasks)
        self._cancel_grace = {definition.name: definition.cancel_grace_seconds for definition in definitions}
        self._ledger = JobLedger(
            self._connector,
            self._link,
            options,
            known_tasks={definition.name for definition in definitions},
            heavy_tasks={definition.name for definition in definitions if definition.is_heavy},
            stop_claiming=self._ending,
            on_registered=self._start_pulse,
            on_evicted=self._lost.set,
            on_waiting=lambda seconds: self._housekeeping.hurry(RELEASE_DUE, seconds),
        )
        self._app = self._make_app(definitions)

    async def run(self) -> None:
        """Run until stopped or lost; see `JobEngine.run_worker`."""
        options = self._options
        worker = _JobWorker(
            self._app,
            self._cancel_grace,
            queues=options.queues,
            name=None,
            concurrency=options.concurrency,
            fetch_job_polling_interval=options.poll_seconds,
            abort_job_polling_interval=_CANCEL_POLL_SECONDS,
            shutdown_graceful_timeout=options.shutdown_seconds,
            install_signal_handlers=False,
            update_heartbeat_interval=_NEVER_SECONDS,
        )
        self._loop_watch = LoopWatch(options.blocked_seconds, worker.running_jobs)
        running = asyncio.create_task(worker.run_until_stopped(), name="worker")
        duties: list[asyncio.Task[Any]] = [
            asyncio.create_task(self._stop.wait(), name="stop"),
            asyncio.create_task(self._watch_pulse(), name="pulse watch"),
            asyncio.create_task(self._rescue(), name="rescue"),
            asyncio.create_task(self._keep_house(), name="housekeeping"),
            asyncio.create_task(self._loop_watch.tick(), name="loop watch"),
        ]
        try:
            await asyncio.wait({running, *duties}, return_when=asyncio.FIRST_COMPLETED)
            self._ending.set()
            worker.request_stop()
            await self._drain(worker, running)
        except asyncio.CancelledError:
            self._ending.set()
            self._abandon.set()
            ended = asyncio.gather(worker.cancel_jobs(), running, return_exceptions=True)
            await asyncio.wait({ended}, timeout=_HAND_BACK_SECONDS)
            raise
        finally:
            await self._end(duties, running)
        if running.done():
            running.result()
        if self._lost.is_set() and not self._stop.is_set():
            raise WorkerLost
        for duty in duties:
            if duty.done() and not duty.cancelled():
                duty.result()

    def _make_app(self, tasks: Iterable[TaskDefinition]) -> App:
        quieten_procrastinate()
        app = App(connector=self._connector)
        app.job_manager = self._ledger
        for definition in tasks:
            runner = TaskRunner(definition, self._ledger, self._ending.is_set)
            app.task(name=definition.name, pass_context=True)(runner.run)
        return app

    def _start_pulse(self, worker_id: int) -> None:
        self._worker_id = worker_id
        assert self._loop_watch is not None
        self._pulse = Pulse(self._options.database_url, worker_id, self._options.heartbeat_seconds, self._loop_watch)
        self._pulse.start()
        self._registered.set()
        _log.info("worker started", worker_id=worker_id, server=self._options.server_name)

    async def _watch_pulse(self) -> None:
        await self._registered.wait()
        assert self._pulse is not None
        longest_silence = self._options.stalled_seconds - self._options.heartbeat_seconds
        while not self._pulse.evicted and self._pulse.silence < longest_silence:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(1.0, self._options.heartbeat_seconds / 2)):
                    await self._lost.wait()
                    return
        self._lost.set()

    async def _rescue(self) -> None:
        await self._registered.wait()
        await Rescuer(self._link, self._ledger, self._options, self._worker_id).run()

    async def _keep_house(self) -> None:
        await self._registered.wait()
        await self._housekeeping.run()

    async def _drain(self, worker: _JobWorker, running: asyncio.Task[None]) -> None:
        """Wait for the jobs to end: after a stop only for so long, otherwise until the database takes their outcome."""
        cancelling = asyncio.create_task(self._cancel_when_lost(worker))
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                await asyncio.wait({running}, timeout=self._options.shutdown_seconds + _HAND_BACK_SECONDS)
                self._abandon.set()
                await asyncio.wait({running}, timeout=1.0)
        finally:
            stopping.cancel()
            cancelling.cancel()

    async def _cancel_when_lost(self, worker: _JobWorker) -> None:
        await self._lost.wait()
        _log.warning("worker lost its lease; its running jobs are cancelled", worker_id=self._worker_id)
        await worker.cancel_jobs()

    async def _end(self, duties: list[asyncio.Task[Any]], running: asyncio.Task[None]) -> None:
        for duty in duties:
            duty.cancel()
        await asyncio.gather(*duties, return_exceptions=True)
        if not running.done():
            # The pulse goes on: these jobs live as long as the process, and must not be started elsewhere before.
            _log.error("jobs cannot be stopped; they end with the process", worker_id=self._worker_id)
            return
        if self._pulse is not None:
            self._pulse.stop()
        await self._link.close()
        await self._chores_link.close()
        _log.info("worker stopped", worker_id=self._worker_id)
