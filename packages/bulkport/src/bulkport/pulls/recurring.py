"""Recurring pulls in the database: sources checked on a schedule, each change of which becomes an import."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from psycopg import AsyncConnection
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from bulkport.errors import Conflict, NotFound
from bulkport.identifiers import UserId
from bulkport.imports.formats import Handling
from bulkport.imports.labels import ImportLabels
from bulkport.imports.options import ReadingOptions
from bulkport.imports.write_options import WriteOptions
from bulkport.pulls.opened_source import Version
from bulkport.pulls.source import Source

MAX_PULLS: Final = 100
"""Recurring pulls of one user."""

_COLUMNS: Final = """
    id, user_id, resource, source, cron, timezone, name, metadata, handling, reading, writing, is_active, etag,
    last_modified, last_checked_at, last_outcome, last_import_id, last_job_id, created_at
"""
_LOCK_USER: Final = "SELECT pg_advisory_xact_lock(hashtextextended('bulkport pulls ' || %s, 0))"
_INSERT: Final = f"""
    INSERT INTO bulkport.recurring_pulls (
        user_id, resource, source, cron, timezone, name, metadata, handling, reading, writing)
    SELECT %(user_id)s, %(resource)s, %(source)s, %(cron)s, %(timezone)s, %(name)s, %(metadata)s, %(handling)s,
           %(reading)s::jsonb, %(writing)s::jsonb
    WHERE (SELECT count(*) < %(most)s FROM bulkport.recurring_pulls WHERE user_id = %(user_id)s)
    RETURNING {_COLUMNS}
"""
_SELECT: Final = f"SELECT {_COLUMNS} FROM bulkport.recurring_pulls WHERE id = %s"
_SELECT_ALL: Final = f"SELECT {_COLUMNS} FROM bulkport.recurring_pulls WHERE user_id = %s ORDER BY id"
_SET_ACTIVE: Final = "UPDATE bulkport.recurring_pulls SET is_active = %s WHERE id = %s"
_DELETE: Final = "DELETE FROM bulkport.recurring_pulls WHERE id = %s AND user_id = %s"
_LOCK: Final = "SELECT last_job_id FROM bulkport.recurring_pulls WHERE id = %s AND is_active FOR UPDATE"
_WRITE_CHECK: Final = """
    UPDATE bulkport.recurring_pulls SET
        last_checked_at = clock_timestamp(), last_outcome = %(outcome)s, last_job_id = %(job_id)s,
        last_import_id = coalesce(%(import_id)s, last_import_id)
    WHERE id = %(id)s
"""
_WRITE_VERSION: Final = "UPDATE bulkport.recurring_pulls SET etag = %s, last_modified = %s WHERE id = %s"


class PullOutcome(StrEnum):
    """The outcome of checking a source."""

    IMPORTED = "imported"
    """It was new or had changed: an import was queued."""
    UNCHANGED = "unchanged"
    BUSY = "busy"
    """The import of an earlier look had not ended."""


@dataclass(frozen=True, slots=True)
class RecurringPull:
    """A source that is looked at again and again."""

    id: int
    user_id: str
    resource: str
    source: dict[str, Any]
    cron: str
    timezone: str
    name: str | None
    metadata: dict[str, Any] | None
    handling: str | None
    reading: dict[str, Any]
    writing: dict[str, Any] | None
    is_active: bool
    etag: str | None
    last_modified: str | None
    last_checked_at: datetime | None
    last_outcome: str | None
    last_import_id: int | None
    last_job_id: str | None
    created_at: datetime

    @property
    def version(self) -> Version:
        """That of the body that was imported last."""
        return Version(self.etag, self.last_modified)

    @property
    def recurring_id(self) -> str:
        """Id of the recurring job that looks."""
        return recurring_id(self.id)


def recurring_id(pull_id: int) -> str:
    """Id of the recurring job of a pull."""
    return f"bulkport-pull-{pull_id}"


async def create_pull(
    connection: AsyncConnection[Any],
    user_id: UserId,
    *,
    resource: str,
    source: Source,
    cron: str,
    timezone: str,
    labels: ImportLabels,
    handling: Handling | None,
    reading: ReadingOptions,
    writing: WriteOptions,
) -> RecurringPull:
    """Keep a recurring pull, in the caller's transaction.

    Raises
    ------
    Conflict
        The user has as many as one may have.
    """
    values = {
        "user_id": user_id,
        "resource": resource,
        "source": Jsonb(source.to_json()),
        "cron": cron,
        "timezone": timezone,
        "name": labels.name,
        "metadata": None if labels.metadata is None else Jsonb(labels.metadata),
        "handling": handling,
        "reading": json.dumps(reading.to_json()),
        "writing": json.dumps(writing.stored()),
        "most": MAX_PULLS,
    }
    await connection.execute(_LOCK_USER, (user_id,))
    async with connection.cursor(row_factory=class_row(RecurringPull)) as cursor:
        pull = await (await cursor.execute(_INSERT, values)).fetchone()
    if pull is None:
        raise Conflict(f"You have reached the limit of {MAX_PULLS} recurring pulls; delete one first.")
    return pull


async def find_pull(connection: AsyncConnection[Any], pull_id: int) -> RecurringPull | None:
    """A recurring pull, whosever it is."""
    async with connection.cursor(row_factory=class_row(RecurringPull)) as cursor:
        return await (await cursor.execute(_SELECT, (pull_id,))).fetchone()


async def get_pull(connection: AsyncConnection[Any], pull_id: int, user_id: UserId) -> RecurringPull:
    """One of the user's recurring pulls; raises NotFound."""
    pull = await find_pull(connection, pull_id)
    if pull is None or pull.user_id != user_id:
        raise NotFound("The recurring pull does not exist.")
    return pull


async def list_pulls(connection: AsyncConnection[Any], user_id: UserId) -> Sequence[RecurringPull]:
    """The user's recurring pulls, oldest first."""
    async with connection.cursor(row_factory=class_row(RecurringPull)) as cursor:
        return await (await cursor.execute(_SELECT_ALL, (user_id,))).fetchall()


async def set_active(connection: AsyncConnection[Any], pull_id: int, *, is_active: bool) -> None:
    """Switch a recurring pull on or off."""
    await connection.execute(_SET_ACTIVE, (is_active, pull_id))


async def delete_pull(connection: AsyncConnection[Any], pull_id: int, user_id: UserId) -> None:
    """Remove a recurring pull; raises NotFound."""
    if not (await connection.execute(_DELETE, (pull_id, user_id))).rowcount:
        raise NotFound("The recurring pull does not exist.")


async def lock_pull(connection: AsyncConnection[Any], pull_id: int, job_id: str) -> bool:
    """Lock a recurring pull for one look; False: it is gone or off, or this look was made already."""
    row = await (await connection.execute(_LOCK, (pull_id,))).fetchone()
    return row is not None and row[0] != job_id


async def write_check(
    connection: AsyncConnection[Any], pull_id: int, job_id: str, outcome: PullOutcome, import_id: int | None = None
) -> None:
    """Write the result of a check."""
    values: Mapping[str, Any] = {"id": pull_id, "job_id": job_id, "outcome": outcome, "import_id": import_id}
    await connection.execute(_WRITE_CHECK, values)


async def write_version(connection: AsyncConnection[Any], pull_id: int, version: Version) -> None:
    """Write the format of the fetched body, in the transaction that fills the import."""
    await connection.execute(_WRITE_VERSION, (version.etag, version.last_modified, pull_id))
