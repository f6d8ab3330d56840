"""The background task that looks at the source of a recurring pull, and queues an import if it has changed."""

from typing import Any, Final

from psycopg import AsyncConnection

from bulkport.errors import BulkportError
from bulkport.identifiers import ImportId, UserId
from bulkport.imports.body.upload import Upload, nothing
from bulkport.imports.formats import BodyFormat, Handling
from bulkport.imports.ingest import Intake
from bulkport.imports.labels import ImportLabels
from bulkport.imports.options import ReadingOptions
from bulkport.imports.process import IMPORT_QUEUE
from bulkport.imports.read import read_jobs
from bulkport.imports.resource import Resources
from bulkport.imports.states import ImportStatus
from bulkport.imports.write_options import WriteOptions
from bulkport.jobs.port import JobContext, JobEngine, TaskDefinition
from bulkport.jobs.port.recurring import MissedRuns, RecurringDefinition
from bulkport.jobs.retry import FinalError
from bulkport.pools import AsyncPool
from bulkport.pulls.puller import Puller
from bulkport.pulls.recurring import PullOutcome, RecurringPull, find_pull, lock_pull, recurring_id, write_check
from bulkport.pulls.source import Source

LOOK_AT_SOURCE: Final = "bulkport.look_at_source"


def recurring_definition(pull: RecurringPull) -> RecurringDefinition:
    """The recurring job that looks at a source."""
    return RecurringDefinition(
        id=pull.recurring_id,
        task=LOOK_AT_SOURCE,
        cron=pull.cron,
        timezone=pull.timezone,
        args={"pull_id": pull.id},
        queue=IMPORT_QUEUE,
        user_id=pull.user_id,
        missed=MissedRuns.ONCE,
        overlap=False,
    )


class SourceChecker:
    """Looks at sources in a worker process."""

    def __init__(
        self, pool: AsyncPool, intake: Intake, resources: Resources, puller: Puller, engine: JobEngine
    ) -> None:
        self._pool = pool
        self._engine = engine
        self._intake = intake
        self._resources = resources
        self._puller = puller

    def task(self) -> TaskDefinition:
        """The task to register with the engine."""
        return TaskDefinition(name=LOOK_AT_SOURCE, function=self.look)

    async def look(self, context: JobContext, *, pull_id: int) -> str | None:
        """Task: look at a source once.

        A source that has changed, of which that is not known, or which cannot be read, becomes an import: what is
        wrong with it is the import's to say. The import is queued once, also when the worker dies and another one
        looks again.

        Returns
        -------
        A `PullOutcome`; None if there was nothing to look at.

        Raises
        ------
        FinalError
            The import cannot be accepted at all.
        """
        async with self._pool.connection() as connection:
            pull = await find_pull(connection, pull_id)
            if pull is None:  # its user was erased
                await self._engine.recurring.remove(recurring_id(pull_id), connection)
                return None
            if not pull.is_active or pull.last_job_id == str(context.job_id):
                return None
            if await _is_busy(connection, pull):
                await write_check(connection, pull.id, str(context.job_id), PullOutcome.BUSY)
                return PullOutcome.BUSY
        source = Source.from_json(pull.source)
        if await self._puller.is_unchanged(source, pull.version):
            async with self._pool.connection() as connection:
                await write_check(connection, pull.id, str(context.job_id), PullOutcome.UNCHANGED)
            return PullOutcome.UNCHANGED
        if pull.resource not in self._resources:
            raise FinalError(f"there is no resource {pull.resource} any more")
        async with self._pool.connection() as connection, connection.transaction():
            if not await lock_pull(connection, pull.id, str(context.job_id)):
                return None
            try:
                import_id = await self._queue_import(connection, pull, source)
            except BulkportError as error:
                raise FinalError(error.detail) from error
            await write_check(connection, pull.id, str(context.job_id), PullOutcome.IMPORTED, import_id)
        return PullOutcome.IMPORTED

    async def _queue_import(self, connection: AsyncConnection[Any], pull: RecurringPull, source: Source) -> ImportId:
        resource = self._resources[pull.resource]
        writing = WriteOptions.of_stored(pull.writing, resource.default_mode)
        upload = Upload(
            resource=resource.for_mode(writing.mode),
            writing=writing,
            user_id=UserId(pull.user_id),
            format=BodyFormat.NDJSON,
            content_encoding=None,
            handling=None if pull.handling is None else Handling(pull.handling),
            body=nothing(),
            reading=ReadingOptions.from_json(pull.reading),
            labels=ImportLabels(name=pull.name, metadata=pull.metadata),
        )
        stored = {**source.to_json(), "recurringPull": pull.id}
        return (await self._intake.accept_source(upload, stored, connection)).id


async def _is_busy(connection: AsyncConnection[Any], pull: RecurringPull) -> bool:
    if pull.last_import_id is None:
        return False
    last = (await read_jobs(connection, [ImportId(pull.last_import_id)])).get(pull.last_import_id)
    return last is not None and not ImportStatus(last.status).is_final
