"""Reads the rows of a table as pages of text in key order."""

import asyncio
import contextlib
import csv
import io
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from enum import StrEnum
from typing import Final

from psycopg import sql

from bulkport.database.row_security import Connections
from bulkport.imports.exports.bounds import PageBounds
from bulkport.imports.exports.copy_out import copy_out
from bulkport.imports.exports.query import ExportQuery, Key
from bulkport.imports.exports.values import PLAIN_TEXT, csv_values, json_rows
from bulkport.imports.writing.table import TargetTable
from bulkport.task_scope import end_tasks

_FIRST_PAGE_ROWS: Final = 500
_MAX_PAGE_ROWS: Final = 50_000
_PAGE_BYTES: Final = 2 * 1024 * 1024
_BLOCK_BYTES: Final = 4 * 1024 * 1024
"""A page is one block unless its rows are much longer than those before."""
_GROWTH: Final = 8

# A quote and a delimiter that JSON text never has: PostgreSQL then writes it as it is, one object a line.
_RAW_LINES: Final = r"FORMAT csv, QUOTE e'\x01', DELIMITER e'\x02'"


class PageText(StrEnum):
    """What pages are written in."""

    CSV = "csv"
    """CSV without a header row; null is an empty cell, empty text is in quotes."""
    NDJSON = "ndjson"


class Export:
    """The rows of a resource's table as text.

    Parameters
    ----------
    table:
        The table as the database has it.
    null_word:
        The text for null in CSV.
    values:
        The columns in place of the table's own, for CSV.
    """

    def __init__(
        self,
        pool: Connections,
        table: TargetTable,
        query: ExportQuery,
        *,
        null_word: str = "",
        values: Sequence[sql.Composable] | None = None,
    ) -> None:
        self._pool = pool
        self._table = table
        self._query = query
        self._null_word = null_word
        self._values = values or csv_values(table)

    @property
    def header(self) -> list[str]:
        """The columns' names on the wire."""
        names = self._table.resource.wire_names
        return [names[field] for field in self._table.resource.field_names]

    async def pages(self, text: PageText) -> AsyncIterator[bytes]:
        """The rows as text, whole lines, some megabytes at a time.

        Raises
        ------
        psycopg.Error
            The database went away.
        """
        # One block is read while another goes out, and no more.
        blocks: asyncio.Queue[bytes | None] = asyncio.Queue()
        room = asyncio.Semaphore(1)
        reading = asyncio.create_task(self._read(text, blocks, room))
        reading.add_done_callback(lambda _: blocks.put_nowait(None))
        try:
            while (block := await blocks.get()) is not None:
                room.release()
                yield block
            await reading
        finally:
            await end_tasks(reading)

    async def file(self, text: PageText) -> AsyncIterator[bytes]:
        """The rows as a file: as `pages`, with the header of CSV."""
        header = _header(self.header) if text is PageText.CSV else b""
        async for page in self.pages(text):
            yield header + page
            header = b""
        if header:
            yield header

    async def _read(self, text: PageText, blocks: asyncio.Queue[bytes | None], room: asyncio.Semaphore) -> None:
        async with contextlib.aclosing(self._blocks(text)) as found:
            async for block in found:
                await room.acquire()
                blocks.put_nowait(block)

    async def _blocks(self, text: PageText) -> AsyncGenerator[bytes, None]:
        bounds = PageBounds(self._table, self._query)
        after: Key | None = None
        rows = _FIRST_PAGE_ROWS
        while True:
            size = found = 0
            held = b""
            async with self._pool.connection() as connection, connection.transaction():
                await connection.execute(PLAIN_TEXT)
                last = await bounds.next(connection, after, rows)
                if last is None:
                    return
                statement = self._copy(text, after, last)
                async for block, block_rows in copy_out(connection, statement, block_bytes=_BLOCK_BYTES):
                    if held:  # rows are longer than was to be expected: the connection waits for the client
                        yield held
                    held = block
                    size += len(block)
                    found += block_rows
            if held:
                yield held
            bounds.learn(after, last, found)
            after = last
            # Rows may be short or a megabyte long: page sizes follow the rows read so far.
            if found:
                rows = max(1, min(rows * _GROWTH, found * _PAGE_BYTES // max(1, size), _MAX_PAGE_ROWS))

    def _copy(self, text: PageText, after: Key | None, last: Key) -> sql.Composed:
        rows = sql.SQL("FROM {table} WHERE {condition} ORDER BY {order}").format(
            table=self._table.identifier, condition=self._query.condition(after, last), order=self._query.order
        )
        if text is PageText.NDJSON:
            return sql.SQL("COPY ({}) TO STDOUT ({})").format(json_rows(self._table, rows), sql.SQL(_RAW_LINES))
        return sql.SQL("COPY (SELECT {} {}) TO STDOUT (FORMAT csv, NULL {})").format(
            sql.SQL(", ").join(self._values), rows, sql.Literal(self._null_word)
        )


def _header(names: list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(names)
    return text.getvalue().encode()
