"""Batches: opened, filled by enqueueing jobs with their id, and sealed."""

from typing import Final, LiteralString

from psycopg.rows import tuple_row

from bulkport.jobs.port.queueing import Connection

_OPEN: Final[LiteralString] = """
INSERT INTO background_batches (description, user_id) VALUES (%s, %s) RETURNING batch_id
"""
_SEAL: Final[LiteralString] = "SELECT background_seal_batch_v1(%s)"


async def open_batch(connection: Connection, description: str | None = None, user_id: str | None = None) -> int:
    """Begin a batch, in the caller's transaction, and give its id."""
    async with connection.cursor(row_factory=tuple_row) as cursor:
        row = await (await cursor.execute(_OPEN, (description, user_id))).fetchone()
    assert row is not None
    return int(row[0])


async def seal_batch(connection: Connection, batch_id: int) -> bool:
    """Let a batch take no more jobs: it ends with the last of those it has, at once if none is left.

    Returns
    -------
    Whether there is such a batch. Sealing it again does nothing.
    """
    async with connection.cursor(row_factory=tuple_row) as cursor:
        row = await (await cursor.execute(_SEAL, (batch_id,))).fetchone()
    return row is not None and bool(row[0])
