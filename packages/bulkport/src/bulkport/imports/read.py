"""Reads import jobs: one, a user's list, and the report of bad rows."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from psycopg import AsyncConnection
from psycopg.rows import class_row

from bulkport.database.row_security import Connections
from bulkport.errors import Forbidden, JobNotFound
from bulkport.identifiers import MAX_BIGINT, ImportId, UserId
from bulkport.imports import queries
from bulkport.imports.states import ImportStatus, ListedStatus

MAX_REPORT_PAGE: Final = 1000
MAX_PAGE_BYTES: Final = 4 * 2**20
"""Of bad rows that are read at a time; one may be longer."""
_STRETCH: Final = 50_000
"""Imports of a user's that a list looks through where no index finds them."""


@dataclass(frozen=True, slots=True)
class ImportJob:
    """An import job as its user sees it. Counts are rows, sizes bytes, times aware UTC."""

    id: int
    user_id: str
    resource: str
    background_job_id: str
    format: str
    handling: str
    status: str
    total_records: int
    body_bytes: int
    processed_count: int
    success_count: int
    failure_count: int
    outcomes: list[int]
    """Rows created, updated, unchanged, skipped, deleted, and dropped by a trigger; shorter where the rest is 0."""
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    error_summary: str | None
    attempts: int
    warnings: list[str]
    name: str | None
    client_id: str | None
    metadata: dict[str, Any] | None
    tags: list[str]
    retry_of: int | None
    start_at: datetime | None
    reading: dict[str, Any]
    writing: dict[str, Any] | None
    """What the request chose about writing; see `WriteOptions.stored`."""
    differences: list[dict[str, Any]] | None
    """Of a dry run: a sample of the stored rows that would change, with old and new values."""
    undone: dict[str, Any] | None
    """The rows that an undo removed and kept."""
    file_name: str | None
    source: dict[str, Any] | None
    """Where its body was or is to be fetched; None: it was sent."""

    @property
    def awaits_body(self) -> bool:
        """Whether its body is still to be fetched."""
        return self.source is not None and self.total_records == 0 and not ImportStatus(self.status).is_final

    @property
    def counts(self) -> dict[str, int]:
        """Rows by outcome; rows that a trigger dropped count as skipped."""
        created, updated, unchanged, skipped, deleted, dropped = (self.outcomes + [0] * 6)[:6]
        return {
            "created": created,
            "updated": updated,
            "unchanged": unchanged,
            "skipped": skipped + dropped,
            "deleted": deleted,
        }

    @property
    def is_scheduled(self) -> bool:
        """Whether it waits for the time that its client set."""
        is_waiting = self.status == ImportStatus.PENDING and self.started_at is None
        return is_waiting and self.start_at is not None and self.start_at > datetime.now(UTC)

    @property
    def rows_per_second(self) -> float | None:
        """Rows processed a second since the job started; None before its first row."""
        if self.started_at is None or self.processed_count == 0:
            return None
        seconds = ((self.completed_at or datetime.now(UTC)) - self.started_at).total_seconds()
        return round(self.processed_count / max(seconds, 1e-3), 1)

    @property
    def eta_seconds(self) -> float | None:
        """Seconds until the last row at the present rate; 0 when settled, None while unknown."""
        if ImportStatus(self.status).is_final:
            return 0.0
        rate = self.rows_per_second
        return round((self.total_records - self.processed_count) / rate, 1) if rate else None


@dataclass(frozen=True, slots=True)
class ReportedRow:
    """One bad row of the report; `errors` and `record` are JSON texts as stored."""

    row: int
    errors: str
    record: str


async def get_job(
    connection: AsyncConnection[Any], job_id: ImportId, user_id: UserId, resource: str | None = None
) -> ImportJob:
    """One import job of this user.

    Raises
    ------
    JobNotFound
        If there is no such job, or it is one of another resource than `resource`.
    Forbidden
        If it belongs to another user.
    """
    async with connection.cursor(row_factory=class_row(ImportJob)) as cursor:
        job = await (await cursor.execute(queries.SELECT_JOB, (job_id,))).fetchone()
    if job is None and await _exists(connection, job_id, resource):
        raise Forbidden("This import job belongs to another user.")
    if job is None or (resource is not None and job.resource != resource):
        raise JobNotFound
    if job.user_id != user_id:
        raise Forbidden("This import job belongs to another user.")
    return job


async def _exists(connection: AsyncConnection[Any], job_id: ImportId, resource: str | None) -> bool:
    """Whether there is such an import, whosever it is: PostgreSQL does not show others' to a user."""
    row = await (await connection.execute(queries.EXISTS_JOB, (job_id, resource))).fetchone()
    return row is not None and row[0]


async def read_jobs(connection: AsyncConnection[Any], job_ids: Sequence[ImportId]) -> dict[int, ImportJob]:
    """The import jobs with these ids by id, whosever they are; ids that no job has are left out."""
    async with connection.cursor(row_factory=class_row(ImportJob)) as cursor:
        jobs = await (await cursor.execute(queries.SELECT_JOBS_BY_ID, (list(job_ids),))).fetchall()
    return {job.id: job for job in jobs}


@dataclass(frozen=True, slots=True)
class JobList:
    """A page of a user's import jobs, newest first."""

    jobs: list[ImportJob]
    before: ImportId | None
    """Where to go on: there may be more with ids below this one; None: there are no more."""


async def list_jobs(
    connection: AsyncConnection[Any],
    user_id: UserId,
    *,
    resource: str | None = None,
    status: ListedStatus | None = None,
    name: str | None = None,
    client_id: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    tag: str | None = None,
    before: ImportId | None = None,
    limit: int = 50,
) -> JobList:
    """This user's import jobs, newest first, those with an id below `before`.

    With `tag` or `metadata` 50,000 imports of the user's are looked through at a time: there may then be more although
    few were found, or none.

    Parameters
    ----------
    status:
        Only imports of which the API shows it: those that wait for their time are `Scheduled` and not `Pending`, those
        whose body is being fetched are `Pulling` and not `Processing`.
    metadata:
        Only imports whose metadata has these members, and maybe others.
    """
    wanted: dict[str, Any] = {
        "resource": resource,
        "name": name,
        "client_id": client_id,
        "metadata": None if metadata is None else json.dumps(metadata),
        "tag": tag,
        "before": before,
    }
    if tag is not None or metadata is not None:
        # Under row-level security only leakproof operators may use an index.
        stretch = {"user_id": user_id, "before": before or MAX_BIGINT, "stretch": _STRETCH}
        row = await (await connection.execute(queries.SELECT_FLOOR, stretch)).fetchone()
        wanted["floor"] = None if row is None else row[0]
    conditions = [queries.WANTED[what] for what, value in wanted.items() if value is not None]
    if status is not None:
        conditions.append(queries.WITH_STATUS[status])
    statement = queries.SELECT_JOBS.replace("{conditions}", " AND ".join(conditions) or "true")
    async with connection.cursor(row_factory=class_row(ImportJob)) as cursor:
        # One more than requested: there is another page.
        parameters = {**wanted, "user_id": user_id, "limit": limit + 1}
        jobs = await (await cursor.execute(statement, parameters)).fetchall()
    if len(jobs) > limit:
        return JobList(jobs[:limit], ImportId(jobs[limit - 1].id))
    return JobList(jobs, wanted.get("floor"))


async def list_row_errors(
    connection: AsyncConnection[Any], job_id: ImportId, *, after_row: int = 0, limit: int = MAX_REPORT_PAGE
) -> list[ReportedRow]:
    """Bad rows with a row number above `after_row`, in row order: up to `limit`, fewer if they are large.

    An empty list means that there are no more.
    """
    parameters = {"job_id": job_id, "after_row": after_row, "limit": limit, "max_bytes": MAX_PAGE_BYTES}
    async with connection.cursor() as cursor:
        await cursor.execute(queries.SELECT_ROW_ERRORS, parameters)
        return [ReportedRow(*row) for row in await cursor.fetchall()]


async def row_error_pages(
    pool: Connections, job_id: ImportId, *, after_row: int = 0
) -> AsyncIterator[list[ReportedRow]]:
    """All bad rows above `after_row`, page by page. No connection is held while a slow client reads."""
    while True:
        async with pool.connection() as connection:
            page = await list_row_errors(connection, job_id, after_row=after_row)
        if not page:
            return
        yield page
        after_row = page[-1].row


@dataclass(frozen=True, slots=True)
class CsvHeader:
    """The header row of a CSV body and the column names of reported records."""

    cells: list[str]
    """As the client wrote them."""
    names: list[str]
    """The wire name of each column, or the client's if it is unknown."""


async def csv_header(
    connection: AsyncConnection[Any], job_id: ImportId, wire_names: Mapping[str, str]
) -> CsvHeader | None:
    """The header row of a CSV import's body without the columns of an error report; None for other formats.

    Parameters
    ----------
    wire_names:
        Name on the wire for each field of the import's resource.
    """
    row = await (await connection.execute(queries.SELECT_CSV_COLUMNS, (job_id,))).fetchone()
    if row is None or row[0] is None:
        return None
    unknown = iter(row[0]["unknown"])
    names = [next(unknown) if field is None else wire_names[field] for field in row[0]["fields"]]
    width = len(names) - row[0].get("reportColumns", 0)
    return CsvHeader(row[0]["header"][:width], names[:width])
