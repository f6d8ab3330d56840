"""Typed responses of the server. Members that a newer server adds are ignored."""

from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

import httpx
import msgspec

from bulkport.client.errors import RequestRefused, UnexpectedAnswer

_Answer = TypeVar("_Answer")

_SHOWN_CHARACTERS = 200


class ShownStatus(StrEnum):
    """An import's status as `/api/imports` shows it."""

    SCHEDULED = "Scheduled"
    """It waits for its time."""
    PULLING = "Pulling"
    """A worker fetches its body."""
    PENDING = "Pending"
    PROCESSING = "Processing"
    COMPLETED = "Completed"
    """Every row was imported."""
    PARTIAL_SUCCESS = "PartialSuccess"
    """Some rows were rejected."""
    FAILED = "Failed"
    CANCELLED = "Cancelled"

    @property
    def is_final(self) -> bool:
        """Whether the import has ended."""
        return self not in (ShownStatus.SCHEDULED, ShownStatus.PULLING, ShownStatus.PENDING, ShownStatus.PROCESSING)


class AcceptedImport(msgspec.Struct, rename="camel", frozen=True):
    """Response to an accepted body: it is stored and queued."""

    id: int
    total_records: int
    message: str = ""
    background_job_id: str = ""
    """Where the server calls it so."""


class KeptRows(msgspec.Struct, rename="camel", frozen=True):
    """Rows that an undo left as they are."""

    reason: str
    rows: int


class Undone(msgspec.Struct, rename="camel", frozen=True):
    """What an undo did. Counts are rows."""

    removed: int = 0
    """Rows that the import had created."""
    restored: int = 0
    """Rows that have their old values back."""
    kept: int = 0
    """Created rows that were changed, are gone, or are needed by others."""
    not_restored: int = 0
    """Rows that the import updated or deleted and whose old values were not recorded, or that were changed since."""
    reasons: tuple[KeptRows, ...] = ()
    """Why rows were kept or not restored."""
    at: datetime | None = None


class ImportProgress(msgspec.Struct, rename="camel", frozen=True):
    """The status of an import. Counts are rows, sizes bytes, times aware UTC."""

    id: int
    status: ShownStatus
    total_records: int
    processed_records: int
    success_count: int
    failure_count: int
    created_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    error_summary: str | None = None
    rows_per_second: float | None = None
    eta_seconds: float | None = None
    warnings: list[str] = msgspec.field(default_factory=list)
    resource: str = ""
    name: str | None = None
    client_id: str | None = None
    metadata: dict[str, Any] | None = None
    tags: list[str] = msgspec.field(default_factory=list)
    mode: str | None = None
    dry_run: bool = False
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: int = 0
    deleted: int = 0
    reading: dict[str, Any] | None = None
    """How the body was read: chosen by the client, or detected."""
    retry_of: int | None = None
    differences: list[dict[str, Any]] | None = None
    """Of a dry run: the first stored rows that would change, with old and new values."""
    undone: Undone | None = None
    start_at: datetime | None = None
    file_name: str | None = None
    handling: str | None = None

    @property
    def is_settled(self) -> bool:
        """Whether the import has ended and no longer changes."""
        return self.status.is_final


class ImportEvent(msgspec.Struct, frozen=True):
    """An event of an import that is followed."""

    name: str
    """`state` (its status changed), `progress` (rows were processed) or `done`."""
    progress: ImportProgress


class FieldMessage(msgspec.Struct, rename="camel", frozen=True):
    """What is wrong with one field; an empty name is the row as a whole."""

    field: str
    message: str


class BadRow(msgspec.Struct, rename="camel", frozen=True):
    """A rejected row."""

    row: int
    """1-based number of the row in the body."""
    errors: list[FieldMessage]
    record: Any = None
    """The row as it was sent: an object, or text where it was none."""


class RowResult(msgspec.Struct, rename="camel", frozen=True):
    """What became of one row."""

    row: int
    """1-based number of the row in the body."""
    outcome: str
    """`created`, `updated`, `unchanged`, `skipped`, `deleted` or `failed`."""
    id: str | None = None
    """Primary key of the stored row."""


class RowResultPage(msgspec.Struct, rename="camel", frozen=True):
    """One page of results, in row order."""

    items: list[RowResult]
    next_cursor: str | None = None


class ImportPage(msgspec.Struct, rename="camel", frozen=True):
    """One page of imports, newest first."""

    items: list[ImportProgress]
    next_cursor: str | None = None


class BadRowPage(msgspec.Struct, rename="camel", frozen=True):
    """One page of bad rows, in row order."""

    items: list[BadRow]
    next_cursor: str | None = None


def decode(response: httpx.Response, answer: type[_Answer]) -> _Answer:
    """The body of a successful response.

    Raises
    ------
    RequestRefused
        The status says that the request failed.
    UnexpectedAnswer
        The body is something else.
    """
    checked(response)
    try:
        return msgspec.json.decode(response.content, type=answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        shown = " ".join(response.text[:_SHOWN_CHARACTERS].split())
        raise UnexpectedAnswer(
            f"{response.url} did not answer as a Bulkport server ({error}): {shown or '(nothing)'}"
        ) from error


def checked(response: httpx.Response) -> httpx.Response:
    """The response, where it is a success.

    Raises
    ------
    RequestRefused
        The status says that the request failed.
    """
    if not response.is_success:
        raise _refusal(response)
    return response


class _Problem(msgspec.Struct, rename="camel"):
    title: str | None = None
    detail: str | None = None
    errors: dict[str, list[str]] | None = None
    trace_id: str | None = None


def _refusal(response: httpx.Response) -> RequestRefused:
    try:
        problem = msgspec.json.decode(response.content, type=_Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # A proxy on the way, or another kind of server.
        problem = _Problem()
    phrase = response.reason_phrase or f"HTTP {response.status_code}"
    return RequestRefused(
        response.status_code,
        title=problem.title or phrase,
        detail=problem.detail or problem.title or phrase,
        errors=problem.errors,
        trace_id=problem.trace_id,
    )
