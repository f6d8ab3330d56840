"""Import jobs as JSON."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Final, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from bulkport.fastapi.schemas import UtcTime, WireView
from bulkport.imports.read import ImportJob
from bulkport.imports.states import ImportStatus, ListedStatus

ViewT = TypeVar("ViewT", bound=BaseModel)

DEFAULT_JOB_ID_NAME: Final = "backgroundJobId"
"""What the background job's id is called in JSON unless an application says otherwise."""


class JobStatus(WireView):
    """The status of an import job."""

    id: int
    """The import's id."""
    background_job_id: str
    """Id of the import's background job."""
    status: ImportStatus
    """`Pending`, `Processing`, then `Completed` (no row was rejected), `PartialSuccess` (some were), `Failed` (all
    were, or any under `handling=strict`, or the import could not be carried out) or `Cancelled`."""
    total_records: int
    """Rows of the body; 0 until a pulled body has been fetched."""
    processed_records: int
    """Rows that were stored or rejected so far."""
    success_count: int
    """Rows that were not rejected."""
    failure_count: int
    """Rows that were rejected."""
    created_at: UtcTime
    """When it was accepted."""
    started_at: UtcTime | None
    """When a worker began; null before."""
    completed_at: UtcTime | None
    """When it finished, with any outcome; null before."""
    error_summary: str | None
    """The errors of the first rejected rows, or `Fatal error: …`; the error report has all of them."""

    @classmethod
    def of(cls, job: ImportJob) -> Self:
        """The view of `job`."""
        return cls(**_members(job))


class JobLinks(WireView):
    """Related paths of an import job."""

    self: str
    """The import in full."""
    status: str
    """Its status alone."""
    errors: str
    """Its rejected rows."""


class KeptRows(WireView):
    """Rows that an undo left as they are."""

    reason: str
    """The reason."""
    rows: int
    """How many."""


class Undone(WireView):
    """What an undo did. Counts are rows."""

    removed: int
    """Rows that the import had created."""
    restored: int = 0
    """Rows that the import updated or deleted and that have their old values again."""
    kept: int
    """Created rows that are kept: changed or deleted since, or referred to by other rows."""
    not_restored: int
    """Updated or deleted rows whose old values were not stored, or that were changed since."""
    reasons: list[KeptRows] = Field(default_factory=list)
    """Why rows were kept or not restored, the most frequent reasons first."""
    reason: str | None = None
    """Why a cancellation reverted nothing; null if it did."""
    at: UtcTime
    """When it was undone."""


class JobDetail(JobStatus):
    """An import job with all details."""

    status: ListedStatus  # type: ignore[assignment]
    """As in the status; `Scheduled` while it waits for `startAt`, `Pulling` while a worker fetches its body."""
    start_at: UtcTime | None
    """Earliest start of the import; null if none was requested."""
    resource: str
    """The imported resource, by its name in the path."""
    format: str
    """Format of the body, such as `csv` or `ndjson`."""
    handling: str
    """`strict`: any invalid row fails the import. `lenient`: invalid rows are rejected, the others stored."""
    bytes: int
    """Size of the body as it was received, before decompression."""
    mode: str | None
    """How rows are written, by whether their key is stored: `insert`, `upsert`, `update`, `skip` or `delete`."""
    dry_run: bool
    """Whether the import was a dry run, which stores nothing; the counts are those of a real run."""
    differences: list[dict[str, Any]] | None
    """Of a dry run: the first stored rows that would change, with old and new values."""
    undone: Undone | None
    """What an undo, or a cancellation with `rollback`, reverted; null if there was none."""
    created: int
    """Rows that were added."""
    updated: int
    """Stored rows that were changed."""
    unchanged: int
    """Rows whose values were all stored already."""
    skipped: int
    """Rows that the mode skips, such as those of `mode=skip` whose key is stored."""
    deleted: int
    """Stored rows that were removed."""
    rows_per_second: float | None
    """Rate since it started; null before the first row."""
    eta_seconds: float | None
    """Estimated seconds until it finishes; null while unknown, 0 once it has finished."""
    attempts: int
    """Number of attempts: more than 1 if a worker died or the database was unavailable."""
    warnings: list[str]
    """Warnings, such as ignored columns."""
    name: str | None
    """The client's own name for it."""
    client_id: str | None
    """The client's own id for it."""
    metadata: dict[str, Any] | None
    """Metadata of the client."""
    tags: list[str]
    """Tags of the client."""
    retry_of: int | None
    """The import whose rejected rows this one retries."""
    reading: dict[str, Any]
    """How the body was read: what the request and the resource chose, and what was detected."""
    file_name: str | None
    """Name of the file that was sent."""
    source: dict[str, Any] | None
    """Where the body was pulled from, without the query of its URL; null if it was sent."""
    links: JobLinks
    """Related paths."""

    @classmethod
    def of(cls, job: ImportJob, base: str = "") -> Self:
        """The view of `job`; `base` is the path below which the routes are."""
        return cls(
            **_members(job) | _finer_status(job),
            start_at=job.start_at,
            resource=job.resource,
            format=job.format,
            handling=job.handling,
            bytes=job.body_bytes,
            mode=(job.writing or {}).get("mode"),
            dry_run=bool((job.writing or {}).get("dryRun")),
            differences=job.differences,
            undone=None if job.undone is None else Undone.model_validate(job.undone),
            **job.counts,
            rows_per_second=job.rows_per_second,
            eta_seconds=job.eta_seconds,
            attempts=job.attempts,
            warnings=job.warnings,
            name=job.name,
            client_id=job.client_id,
            metadata=job.metadata,
            tags=job.tags,
            retry_of=job.retry_of,
            reading=job.reading,
            file_name=job.file_name,
            source=None if job.source is None else _shown_source(job.source),
            links=JobLinks(
                self=f"{base}/imports/{job.id}",
                status=f"{base}{status_path(job.resource, job.id)}",
                errors=f"{base}/imports/{job.id}/errors",
            ),
        )


class JobPage(WireView):
    """A page of a user's import jobs, newest first."""

    items: list[JobDetail]
    """The imports."""
    next_cursor: str | None
    """`cursor` of the next page; null on the last one."""


def status_path(resource: str, job_id: int) -> str:
    """Path at which an import job's status is answered, below that of Bulkport's routes."""
    return f"/{resource}/bulk/{job_id}/status"


@dataclass(frozen=True, slots=True)
class JobViews:
    """The views with an application's own name for the background job's id."""

    job_id_name: str
    status: type[JobStatus]
    detail: type[JobDetail]
    page: type[JobPage]


@cache
def job_views(job_id_name: str = DEFAULT_JOB_ID_NAME) -> JobViews:
    """Views whose JSON calls the background job's id `job_id_name`."""

    def alias(name: str) -> str:
        return job_id_name if name == "background_job_id" else to_camel(name)

    def named(view: type[ViewT], **fields: Any) -> type[ViewT]:
        members = {"__module__": view.__module__, "__doc__": view.__doc__, "__qualname__": view.__qualname__}
        config = ConfigDict(alias_generator=alias, from_attributes=True, populate_by_name=True)
        make: Any = type(view)
        made: type[ViewT] = make(view.__name__, (view,), {**members, "model_config": config, "__annotations__": fields})
        return made

    detail = named(JobDetail)
    items = Annotated[list[detail], Field(description="The imports.")]  # type: ignore[valid-type]
    return JobViews(job_id_name, named(JobStatus), detail, named(JobPage, items=items))


def _finer_status(job: ImportJob) -> dict[str, Any]:
    if job.is_scheduled:
        return {"status": ListedStatus.SCHEDULED}
    return {"status": ListedStatus.PULLING} if job.awaits_body and job.status == ImportStatus.PROCESSING else {}


def _shown_source(stored: dict[str, Any]) -> dict[str, Any]:
    # A URL may end in a signature, which must not be shown.
    shown = {name: value for name, value in stored.items() if name != "handling"}
    url = shown.get("url", "")
    return shown | ({"url": f"{url.partition('?')[0]}?…"} if "?" in url else {})


def _members(job: ImportJob) -> dict[str, Any]:
    times: dict[str, datetime | None] = {
        "created_at": job.created_at,
        "started_at": job.started_at,
        "completed_at": job.completed_at,
    }
    return {
        "id": job.id,
        "background_job_id": job.background_job_id,
        "status": ImportStatus(job.status),
        "total_records": job.total_records,
        "processed_records": job.processed_count,
        "success_count": job.success_count,
        "failure_count": job.failure_count,
        "error_summary": job.error_summary,
        **times,
    }
