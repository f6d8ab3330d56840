"""Import a file in a test, without a server."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Unpack

from bulkport.app import Bulkport
from bulkport.identifiers import AnyUserId
from bulkport.imports.body.local_file import FileContent
from bulkport.imports.calls import FileOptions, RowError
from bulkport.imports.resource import Resource
from bulkport.imports.states import ImportStatus
from bulkport.testing.drain import drain


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What became of a file."""

    import_id: int
    status: ImportStatus
    total: int
    """Rows in the file."""
    succeeded: int
    failed: int
    counts: Mapping[str, int]
    """Rows that were created, updated, unchanged, skipped and deleted."""
    errors: tuple[RowError, ...]
    """The rows that failed, with their messages by field; at most as many as the worker reports."""
    warnings: tuple[str, ...]
    summary: str | None
    """The most frequent errors in a sentence, or why the import failed."""


async def import_file(
    bulkport: Bulkport,
    resource: Resource | str,
    content: FileContent,
    *,
    user: AnyUserId = "test",
    timeout_seconds: float = 30.0,
    **options: Unpack[FileOptions],
) -> ImportResult:
    """Import the bytes of a file, or a path, and wait until it is done: as `POST /{resource}/bulk` and a worker would.

    Other jobs that are queued run too; with `start_at=`, the clock moves on (see `advance`).

    Parameters
    ----------
    options
        Those of `Bulkport.import_file`.

    Raises
    ------
    BulkportError
        The file is refused as a whole, as the endpoint would; the message says why.
    TimeoutError
        It takes longer.
    """
    async with bulkport.connect():
        import_id = await bulkport.import_file(resource, content, user=user, **options)
        await drain(bulkport, with_scheduled="start_at" in options, timeout_seconds=timeout_seconds)
        job = await bulkport.wait_for_import(import_id, timeout_seconds=timeout_seconds)
        errors = tuple([error async for error in bulkport.import_errors(import_id)])
    if not ImportStatus(job.status).is_final:
        raise TimeoutError(f"import {import_id} has not ended: {job.status}")
    return ImportResult(
        import_id=import_id,
        status=ImportStatus(job.status),
        total=job.total_records,
        succeeded=job.success_count,
        failed=job.failure_count,
        counts=job.counts,
        errors=errors,
        warnings=tuple(job.warnings),
        summary=job.error_summary,
    )
