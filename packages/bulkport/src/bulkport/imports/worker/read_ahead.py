"""Decoding the next chunk of an import on a thread, while PostgreSQL writes the one before.

An import whose last row of a key is to win has one chunk worker, which takes its chunks in the order of the body. Its
processor time and PostgreSQL's would take turns; so they overlap. What is decoded ahead is only bytes that never
change: the chunk is claimed, and its rows are looked up and written, in its own transaction as ever.
"""

import asyncio
from typing import Any, Final

from psycopg import AsyncConnection

from bulkport.imports import process_queries as queries
from bulkport.imports.chunk import decode_records
from bulkport.imports.validation import Batch
from bulkport.imports.worker.attempt import Attempt, Chunk

# Smaller chunks are decoded sooner than a thread is changed.
_FEWEST_RECORDS: Final = 1_000


class ReadAhead:
    """Decodes the chunk after the one that is being written.

    The attempt's validator serves one thread at a time: between `begin` and `take` or `drop` it is this one's.
    """

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._number: int | None = None
        self._decoding: asyncio.Future[Batch] | None = None

    async def begin(self, connection: AsyncConnection[Any], chunk: Chunk) -> None:
        """Begin to decode the chunk after `chunk`, if there is one and they are large."""
        if not self._attempt.goes_in_order or chunk.record_count < _FEWEST_RECORDS:
            return
        await self.drop()
        position = (self._attempt.job_id, chunk.number + 1)
        row = await (await connection.execute(queries.PENDING_CHUNK, position, binary=True)).fetchone()
        if row is not None:
            following = Chunk(*row)
            self._number = following.number
            self._decoding = asyncio.ensure_future(asyncio.to_thread(decode_records, self._attempt, following))

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
        """Wait until nothing is decoded any more, and forget it."""
        decoding, self._decoding = self._decoding, None
        if decoding is not None:
            await asyncio.wait([decoding])
            if not decoding.cancelled():
                decoding.exception()  # its chunk is decoded again where it is wanted, and raises then
