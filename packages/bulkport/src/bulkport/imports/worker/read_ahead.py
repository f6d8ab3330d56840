"""Decoding the next chunk of an import on a thread, while PostgreSQL writes the one before.

A chunk worker's processor time and PostgreSQL's would take turns; so they overlap. What is decoded ahead is only bytes
that never change: the chunk is claimed, and its rows are looked up and written, in its own transaction as ever. Other
chunk workers leave it alone as long as the transaction that looked at it lasts, and whoever decoded it asks for it
first; should another one have it all the same, the work was for nothing.
"""

import asyncio
from functools import partial
from typing import Any, Final

from psycopg import AsyncConnection

from bulkport.imports import process_queries as queries
from bulkport.imports.chunk import decode_records
from bulkport.imports.validation import Batch
from bulkport.imports.worker.attempt import Attempt, Chunk
from bulkport.imports.worker.threads import on_thread

# Smaller chunks are decoded sooner than a thread is changed.
_FEWEST_RECORDS: Final = 1_000
_LAST_CHUNKS: Final = 2
"""Chunks at the end of an import that are not decoded ahead, so that other chunk workers have work."""


class ReadAhead:
    """Decodes the chunk after the one that is being written.

    The attempt's validator serves one thread at a time: between `begin` and `take` or `drop` it is this one's.
    """

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._number: int | None = None
        self._decoding: asyncio.Future[Batch] | None = None

    async def begin(self, connection: AsyncConnection[Any], chunk: Chunk) -> None:
        """Start decoding the next free chunk after `chunk`, if there is one and chunks are large."""
        attempt = self._attempt
        left_to_others = 0 if attempt.goes_in_order else _LAST_CHUNKS
        if chunk.record_count < _FEWEST_RECORDS or chunk.number + 1 >= attempt.total_chunks - left_to_others:
            return
        await self.drop()
        position = (attempt.job_id, chunk.number)
        row = await (await connection.execute(queries.NEXT_CHUNK, position, binary=True)).fetchone()
        if row is not None:
            following = Chunk(*row)
            self._number = following.number
            self._decoding = on_thread(partial(decode_records, attempt, following))

    @property
    def number(self) -> int | None:
        """Number of the chunk that was decoded ahead last."""
        return self._number

    async def take(self, chunk: Chunk) -> Batch | None:
        """The records of a chunk that was decoded ahead; None for another.

        Raises
        ------
        Exception
            What stopped the decoding.
        """
        if self._decoding is None:
            return None
        if self._number != chunk.number:
            await self.drop()
            return None
        decoding, self._decoding = self._decoding, None
        return await decoding

    async def drop(self) -> None:
        """Wait until decoding has ended, and discard the result."""
        decoding, self._decoding = self._decoding, None
        if decoding is not None:
            await asyncio.wait([decoding])
            if not decoding.cancelled():
                decoding.exception()  # its chunk is decoded again where it is wanted, and raises then
