"""Admission of imports: limits on a user's waiting imports, and free disk space."""

import asyncio
import shutil
import tempfile
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from bulkport.database.row_security import RowSecurity
from bulkport.errors import InsufficientStorage, QuotaExceeded, TooManyQueued
from bulkport.identifiers import UserId
from bulkport.imports import ingest_queries as queries
from bulkport.limits import ImportLimits

_FRESH_SECONDS: Final = 2.0
"""How long the number of waiting imports and the free disk space are cached."""
_MOST_USERS: Final = 10_000
_RETRY_AFTER_SECONDS: Final = 5


class Admission:
    """Refuses imports that would fill the queue of one user, or the disk.

    Parameters
    ----------
    security:
        Has what waits of a user counted as that user.
    folders:
        Folders on the disks that must have room, beside that of long bodies.
    """

    def __init__(self, security: RowSecurity, limits: ImportLimits, folders: Sequence[str] = ()) -> None:
        self._security = security
        self._limits = limits
        self._folders = (limits.spool_folder or tempfile.gettempdir(), *folders)
        self._seen: OrderedDict[str, float] = OrderedDict()
        self._disk_seen_at = float("-inf")

    async def admit(self, user_id: UserId) -> None:
        """Let an import of the user in.

        Raises
        ------
        InsufficientStorage
            The disk is too full.
        QuotaExceeded
            What is stored of the user takes as much as it may.
        TooManyQueued
            As much of the user's waits as may wait of one user.
        """
        await self.require_disk()
        now = time.monotonic()
        if now - self._seen.get(user_id, float("-inf")) > _FRESH_SECONDS:
            await self._look_at_queue(user_id)
            # Only admission is cached, so that a rejected user is checked again each time.
            self._seen[user_id] = now
            self._seen.move_to_end(user_id)
            if len(self._seen) > _MOST_USERS:
                self._seen.popitem(last=False)

    async def require_disk(self, wanted: int = 0) -> None:
        """Require free disk space for uploads in progress and for `wanted` more bytes.

        Raises
        ------
        InsufficientStorage
            They have not.
        """
        now = time.monotonic()
        if wanted or now - self._disk_seen_at > _FRESH_SECONDS:
            await asyncio.to_thread(self._look_at_disks, wanted)
            self._disk_seen_at = now

    def _look_at_disks(self, wanted: int) -> None:
        least = self._limits.disk_watermark_bytes + wanted
        for folder in self._folders:
            try:
                free = shutil.disk_usage(folder).free
            except OSError:
                continue
            if free < least:
                raise InsufficientStorage

    async def admit_upload(self, user_id: UserId) -> None:
        """Admit a staged upload of the user, which is imported later.

        Raises
        ------
        InsufficientStorage, QuotaExceeded
            As `admit`.
        """
        await self.require_disk()
        *_, stored = await self._queued(user_id)
        self._require_quota(stored)

    async def _queued(self, user_id: UserId) -> tuple[int, int, int, int]:
        """Imports, rows and bytes of them, and all bytes that are stored."""
        async with self._security.connection(user_id) as connection:
            row = await (await connection.execute(queries.QUEUED_OF_USER, {"user_id": user_id})).fetchone()
        assert row is not None
        imports, rows, size, stored = row
        return imports, rows, size, stored

    async def _look_at_queue(self, user_id: UserId) -> None:
        limits = self._limits
        imports, rows, size, stored = await self._queued(user_id)
        for number, most, what in (
            (imports, limits.max_user_queued_imports, "imports"),
            (rows, limits.max_user_queued_rows, "rows"),
            (size, limits.max_user_queued_bytes, "bytes"),
        ):
            if number >= most:
                raise TooManyQueued(
                    f"{number:,} {what} of yours wait to be imported, the most for one user is {most:,}; "
                    "try again when some of it is done.",
                    retry_after=_RETRY_AFTER_SECONDS,
                )
        self._require_quota(stored)

    def _require_quota(self, stored: int) -> None:
        limits = self._limits
        if stored >= limits.max_user_stored_bytes:
            raise QuotaExceeded(
                f"Your waiting imports, error reports and uploads take {stored:,} bytes, the most for one user is "
                f"{limits.max_user_stored_bytes:,}; delete uploads, or wait until older imports are pruned."
            )
