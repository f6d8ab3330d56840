"""Calls the hooks of a resource: before a row, after a chunk and after the import."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

from psycopg import AsyncConnection

from bulkport.identifiers import ImportId
from bulkport.imports.accepted import AcceptedImport
from bulkport.imports.read import read_jobs
from bulkport.imports.resource import Resources
from bulkport.imports.validation import FieldError, RowError, ValidRows
from bulkport.imports.worker.attempt import Attempt
from bulkport.imports.writing.outcomes import Written
from bulkport.jobs.port import JobContext, JobEngine, NewJob, Outcome, Parent
from bulkport.pools import lend

IMPORT_FINISHED: Final = "bulkport.import_finished"
_WRITTEN: Final = ("created", "updated")


def before_rows(attempt: Attempt, valid: ValidRows) -> ValidRows:
    """Rows as `before_row` leaves them; those that it refuses are bad rows."""
    call = attempt.resource.before_row
    if call is None or not valid.row_numbers:
        return valid
    names = attempt.resource.field_names
    accepted: list[int] = []
    changed: list[list[Any]] = [[] for _ in names]
    errors = list(valid.errors)
    for position in range(len(valid.row_numbers)):
        values = {name: column[position] for name, column in zip(names, valid.columns, strict=True)}
        given = None if valid.given is None else set(valid.given[position])
        row = attempt.resource.model.model_construct(_fields_set=given, **values)
        try:
            answer = call(row)
        except Exception as error:  # the row is bad, whatever the application's check made of it
            text = str(error) if isinstance(error, ValueError) and str(error) else type(error).__name__
            message = text if isinstance(error, ValueError) else f"the row cannot be checked: {text}"
            source = valid.record(position)
            errors.append(RowError(valid.row_numbers[position], [FieldError("", message)], source))
            continue
        accepted.append(position)
        for column, name in zip(changed, names, strict=True):
            column.append(getattr(row if answer is None else answer, name))
    return replace(
        valid,
        columns=changed,
        row_numbers=[valid.row_numbers[position] for position in accepted],
        errors=sorted(errors, key=lambda error: error.row),
        given=None if valid.given is None else [valid.given[position] for position in accepted],
    )


async def after_chunk(connection: AsyncConnection[Any], attempt: Attempt, written: Written) -> None:
    """Call the application's hook with a chunk's rows, in the transaction that wrote them."""
    call = attempt.resource.after_chunk
    if call is None or attempt.write.dry_run:
        return
    ids = [id_ for _, outcome, id_ in written.results if outcome in _WRITTEN and id_ is not None]
    if ids:
        lend(connection)
        await call(connection, ids)


async def enqueue_finished(connection: AsyncConnection[Any], engine: JobEngine, accepted: AcceptedImport) -> None:
    """Queue the call of `on_finished` behind the import's own background job, in the transaction that accepts it."""
    parent = Parent(job_id=accepted.background_job_id, on=Outcome.FINISHED)
    await engine.enqueue_many(
        connection,
        [NewJob(IMPORT_FINISHED, {"import_id": int(accepted.id)}, "imports", parents=(parent,))],
    )


async def finished_call(
    connection: AsyncConnection[Any], resources: Resources, context: JobContext
) -> Callable[[], Awaitable[None]] | None:
    """The call of `on_finished` for an import; None if the resource has no such hook."""
    import_id = ImportId(int(str(context.args["import_id"])))
    job = (await read_jobs(connection, [import_id])).get(import_id)
    call = None if job is None else resources[job.resource].on_finished
    return None if call is None else partial(call, job)
