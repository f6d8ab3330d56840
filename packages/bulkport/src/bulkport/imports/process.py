"""The background tasks that process imports, and the handling of failed attempts."""

import asyncio
from dataclasses import dataclass, replace
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from bulkport.backoff import wait_after
from bulkport.errors import ResourceDeclarationError
from bulkport.identifiers import ImportId
from bulkport.imports import complete as settlement
from bulkport.imports import process_queries as queries
from bulkport.imports.body_fetch import BodyRefused, BodyUnavailable, FetchBody
from bulkport.imports.resource import Resources
from bulkport.imports.short import is_short
from bulkport.imports.worker.attempt import Attempt, begin_attempt
from bulkport.imports.worker.chunk_worker import ChunkWorker, NoTurn
from bulkport.imports.worker.fair_queue import FairQueue
from bulkport.imports.worker.hooks import IMPORT_FINISHED, finished_call
from bulkport.imports.writing.table import TableCatalogue
from bulkport.jobs.context import JobCancelled
from bulkport.jobs.port import JobContext, RetryLater, RetryPolicy, TaskDefinition
from bulkport.logs import bind_log_values, get_logger
from bulkport.sanitize import storable_text

PROCESS_IMPORT: Final = "bulkport.process_import"
"""The own background job of a short import: it ends when the import has settled. Its id is the one that clients get."""
PROCESS_LARGE_IMPORT: Final = "bulkport.process_large_import"
"""The own background job of any other import, and of one whose size is not known yet. It is heavy."""
ASSIST_IMPORT: Final = "bulkport.assist_import"
"""A second pair of hands on an import of several chunks."""
IMPORT_QUEUE: Final = "imports"
WHOLE_WRITES: Final = 4
"""Strict imports that one process writes concurrently, outside the fair queue, because they may wait for locks."""

_SHORT_TURNS: Final = 4
"""Small imports that one process works on concurrently, without waiting for chunks of others."""
_OUTAGE_PAUSE_SECONDS: Final = 1.0
"""Delay before an import continues after a database outage, however many there were."""
_OUTAGE_TRIES: Final = 5
_FETCH_ATTEMPTS: Final = 5
_BLAMING_ATTEMPT: Final = 3
"""From this attempt without progress on, a fault of the server that a trigger raises is taken for a row's."""

_log = get_logger(__name__)


class ImportFailed(Exception):
    """The import has failed after its last attempt, and so has its background job."""


@dataclass(frozen=True, slots=True)
class AttemptPolicy:
    """How often an import that makes no progress is tried, and how long between tries (seconds, doubling)."""

    max_attempts: int = 10
    base_seconds: float = 1.0
    max_seconds: float = 60.0
    max_outage_seconds: float = 6 * 3600.0
    """Attempts that lose their connection are not counted; when nothing else comes of them for so long, the import
    fails. A database that is away does not count: the time runs from when it is back for the first time."""

    def delay(self, attempt: int) -> float:
        """Seconds to wait after the given attempt (1-based), with up to a fifth of jitter."""
        return wait_after(attempt, first=self.base_seconds, longest=self.max_seconds)


class Importer:
    """Carries imports out in a worker process.

    Parameters
    ----------
    pool:
        Autocommit connections; one for each chunk slot, `WHOLE_WRITES` and two more are enough.
    chunk_slots:
        Concurrent chunks of this process. With two, one is decoded while PostgreSQL writes the other.
    job_slots:
        Concurrent background jobs of this process.
    fetch_body:
        Fills imports that were accepted before their body.
    """

    def __init__(
        self,
        resources: Resources,
        pool: AsyncConnectionPool[AsyncConnection[Any]],
        *,
        policy: AttemptPolicy,
        chunk_slots: int,
        job_slots: int,
        max_reported_rows: int = 100_000,
        fetch_body: FetchBody | None = None,
    ) -> None:
        self._fetch_body = fetch_body
        self._max_reported_rows = max_reported_rows
        self._resources = resources
        self._pool = pool
        self._policy = policy
        self._fair_queue = FairQueue(chunk_slots)
        self._short_turns = FairQueue(_SHORT_TURNS)
        self._whole_writes = FairQueue(WHOLE_WRITES)
        self._job_slots = job_slots
        self._tables = TableCatalogue()
        self._chunk_workers = 0

    def tasks(self) -> list[TaskDefinition]:
        """The tasks to register with the engine."""
        # An import counts its own attempts, by progress; the engine retries what escapes this.
        # So it does with the deaths of workers.
        retry = RetryPolicy(
            max_attempts=self._policy.max_attempts,
            base_seconds=self._policy.base_seconds,
            max_seconds=self._policy.max_seconds,
            final=(ImportFailed, ResourceDeclarationError),
            max_lost_runs=None,
        )
        return [
            *(
                TaskDefinition(
                    name=name,
                    function=self.process_import,
                    retry=retry,
                    expected=(ImportFailed,),  # which was said when it was found out
                    on_failure=self.settle_failure,
                    is_heavy=name == PROCESS_LARGE_IMPORT,
                )
                for name in (PROCESS_IMPORT, PROCESS_LARGE_IMPORT)
            ),
            TaskDefinition(name=IMPORT_FINISHED, function=self.import_finished),
            TaskDefinition(
                name=ASSIST_IMPORT,
                function=self.assist_import,
                retry=RetryPolicy(max_attempts=1, max_lost_runs=None),
                is_heavy=True,
            ),
        ]

    async def process_import(self, context: JobContext, *, import_id: int) -> None:
        """Task: process an import until it has settled.

        Raises
        ------
        JobCancelled
            If it has settled as Cancelled, so that its background job ends as cancelled too.
        """
        job_id = ImportId(import_id)
        async with self._pool.connection() as connection:
            attempt = await begin_attempt(connection, self._resources, self._tables, job_id, joins=False)
        if attempt is None:
            await self._end_as_import(job_id)
            return
        blames_rows = attempt.number_without_progress >= min(_BLAMING_ATTEMPT, self._policy.max_attempts)
        attempt.table = replace(attempt.table, blames_rows=blames_rows)
        bind_log_values(import_id=job_id, user_id=attempt.user_id)
        log = _log.bind(import_id=job_id, user_id=attempt.user_id, resource=attempt.resource.name)
        if attempt.number_without_progress > self._policy.max_attempts:
            times = attempt.number_without_progress - 1
            log.error("import failed", reason="attempts used up", attempts=times)
            # What it is to be settled with, by `settle_failure`.
            raise ImportFailed(attempt.last_fault or f"the worker stopped {times} times without progress")
        try:
            if not attempt.total_chunks:
                await self._fetch(attempt, context)
            may_be_cancelled = await self._work_or_come_back(attempt, context)
        except RetryLater:
            raise
        except Exception as error:
            self._tables.forget()
            fault = describe(error)
            if is_outage(error):
                lasts = await self._forgive(job_id, queries.FORGIVE_OUTAGE)
                if lasts > self._policy.max_outage_seconds:
                    await self._record_fault(job_id, fault, last=True)
                    log.exception("import failed", reason="the database connection was lost repeatedly", fault=fault)
                    raise ImportFailed(fault) from error
                log.warning("import interrupted: the database is unavailable", fault=fault)
                # Soon after a short outage, ever later where every attempt ends so.
                pause = max(_OUTAGE_PAUSE_SECONDS, lasts / 10)
                raise RetryLater(min(self._policy.max_seconds, pause)) from error
            # What is wrong with a declaration no further attempt mends.
            last = isinstance(error, ResourceDeclarationError | BodyRefused)
            last = last or attempt.number_without_progress >= self._most_attempts(error)
            await self._record_fault(job_id, fault, last=last)
            if last:
                if isinstance(error, BodyRefused):
                    log.warning("import failed: its body cannot be fetched", fault=fault)
                else:
                    log.exception("import failed", fault=fault)
                raise ImportFailed(fault) from error
            delay = self._policy.delay(attempt.number_without_progress)
            if isinstance(error, BodyUnavailable):
                delay = max(delay, error.retry_after or 0.0)
            # An unavailable source is logged in one line.
            shown = not isinstance(error, BodyUnavailable)
            log.warning("import attempt failed", fault=fault, retry_in_seconds=round(delay, 1), exc_info=shown)
            raise RetryLater(delay) from error
        if may_be_cancelled:
            await self._end_as_import(job_id)

    async def _fetch(self, attempt: Attempt, context: JobContext) -> None:
        """Fill an import with its body, and come back to process it.

        Raises
        ------
        RetryLater
            It is filled, or has ended, or this is not the time.
        """
        if self._fetch_body is None:
            raise BodyRefused("this worker cannot fetch from sources")
        try:
            await self._fetch_body(attempt, context)
        except RetryLater:
            await self._forgive(attempt.job_id)
            raise
        raise RetryLater(0)

    def _most_attempts(self, error: Exception) -> int:
        most = self._policy.max_attempts
        return min(most, _FETCH_ATTEMPTS) if isinstance(error, BodyUnavailable) else most

    async def import_finished(self, context: JobContext, *, import_id: int) -> None:  # the task's own
        """Task: let the application know that an import has ended."""
        async with self._pool.connection() as connection:
            call = await finished_call(connection, self._resources, context)
        if call is not None:
            await call()

    async def _end_as_import(self, job_id: ImportId) -> None:
        async with self._pool.connection() as connection:
            if await settlement.is_cancelled(connection, job_id):
                raise JobCancelled("the import was cancelled")

    async def settle_failure(self, context: JobContext, error: BaseException) -> None:
        """Complete the import of a background job that has permanently failed, whatever the reason."""
        await self._fail(ImportId(int(str(context.args["import_id"]))), describe(error))

    async def assist_import(self, context: JobContext, *, import_id: int) -> None:
        """Task: help with an import's chunks, until the import has settled.

        A fault is counted by the import's own job, which meets it too; the assistant just comes back later.
        """
        try:
            async with self._pool.connection() as connection:
                attempt = await begin_attempt(
                    connection, self._resources, self._tables, ImportId(import_id), joins=True
                )
            if attempt is not None:
                await self._work(attempt, context)
        except RetryLater:
            raise
        except Exception as error:
            delay = self._policy.delay(1)
            _log.warning("import assistant paused", import_id=import_id, fault=describe(error), retry_in_seconds=delay)
            raise RetryLater(delay) from error

    async def _work_or_come_back(self, attempt: Attempt, context: JobContext) -> bool:
        try:
            return await self._work(attempt, context)
        except NoTurn:
            # It has not failed: it has only waited.
            await self._forgive(attempt.job_id)
            raise

    async def _work(self, attempt: Attempt, context: JobContext) -> bool:
        attempt.max_reported_rows = self._max_reported_rows
        self._chunk_workers += 1
        try:
            return await self._chunk_worker(attempt, context).work(others_wait=self._others_wait)
        finally:
            self._chunk_workers -= 1

    def _chunk_worker(self, attempt: Attempt, context: JobContext) -> ChunkWorker:
        turns = self._short_turns if attempt.is_short else self._fair_queue
        return ChunkWorker(self._pool, turns, self._whole_writes, attempt, context)

    def _others_wait(self) -> bool:
        """Whether every slot of this worker is taken by a chunk worker, so that a new import could not start here."""
        return self._chunk_workers >= self._job_slots

    async def _record_fault(self, job_id: ImportId, fault: str, *, last: bool) -> None:
        """Record the error with the import; during an outage, only the attempt is counted."""
        try:
            if last:
                await self._fail(job_id, fault)
            else:
                async with self._pool.connection() as connection:
                    await connection.execute(queries.RECORD_FAULT, {"job_id": job_id, "fault": fault})
        except psycopg.OperationalError:
            _log.warning("import fault not recorded: the database is unavailable", import_id=job_id, fault=fault)

    async def _forgive(self, job_id: ImportId, statement: str = queries.FORGIVE_ATTEMPT) -> float:
        """Uncount an attempt that an outage ended, once the database is back; if it is not soon, the attempt counts.

        Returns what `statement` does, for how long that has gone on; 0 if it is not known.
        """
        for _ in range(_OUTAGE_TRIES):
            try:
                async with self._pool.connection() as connection:
                    cursor = await connection.execute(statement, {"job_id": job_id})
                    row = await cursor.fetchone() if cursor.description else None
            except psycopg.OperationalError:
                await asyncio.sleep(_OUTAGE_PAUSE_SECONDS)
            else:
                return 0.0 if row is None else float(row[0])
        return 0.0

    async def _fail(self, job_id: ImportId, message: str) -> None:
        async with self._pool.connection() as connection, connection.transaction():
            await settlement.fail(connection, job_id, message)


def process_task(chunks: int, rows: int, stored_bytes: int) -> str:
    """The task of an import's own background job, for an import of this size."""
    return PROCESS_IMPORT if is_short(chunks, rows, stored_bytes) else PROCESS_LARGE_IMPORT


def is_outage(error: BaseException) -> bool:
    """Whether the database was unavailable or closed the connection; the import is not at fault then."""
    if not isinstance(error, psycopg.OperationalError) or error.diag.source_function == "exec_stmt_raise":
        return False  # a trigger's own RAISE leaves the connection as it is
    # Without a state the connection was lost, or none was to be had; 08: connection exception; 57P: operator
    # intervention, such as a shutdown. See PostgreSQL's manual, "PostgreSQL Error Codes".
    # With severity ERROR our connection still works: another server, such as a foreign table's, is unavailable.
    if error.sqlstate is not None and error.sqlstate.startswith("08"):
        return error.diag.severity_nonlocalized != "ERROR"
    return error.sqlstate is None or error.sqlstate.startswith("57P")


def describe(error: BaseException) -> str:
    """An exception's text, whatever its `str()` does; its class if it has none. At most 400 characters.

    Of an error of PostgreSQL only the message: its context quotes statements and rows, which are not the client's.
    """
    try:
        said = error.diag.message_primary if isinstance(error, psycopg.Error) else None
        text = (said or str(error)).strip()
    except Exception:
        text = ""
    return (storable_text(text) or type(error).__name__)[:400]
