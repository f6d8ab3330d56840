"""Bounds of the pages of an export."""

import math
from typing import Any, Final

from psycopg import AsyncConnection, sql

from bulkport.imports.exports.query import ExportQuery, Key
from bulkport.imports.writing.table import TargetTable

_INTEGERS: Final = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}
_DENSE: Final = 4
"""Numbers for each row up to which a page's end is computed: it then has four times the rows wanted at the most."""


class PageBounds:
    """Finds the last key of each page of about so many rows.

    To ask for the key of the n-th row costs PostgreSQL a fifth of what writing the n rows costs. Where the key is a
    whole number of which few are missing, the end of a page is a sum instead. Any end is right: a page has what lies
    between the end before and its own.
    """

    def __init__(self, table: TargetTable, query: ExportQuery) -> None:
        self._table = table
        self._query = query
        only = query.key[0] if len(query.key) == 1 else None
        self._highest = None if only is None else _INTEGERS.get(table.facts.columns[only].type)
        self._numbers_per_row = math.inf
        """How many there were in the last page."""

    async def next(self, connection: AsyncConnection[Any], after: Key | None, rows: int) -> Key | None:
        """The last key of the page after `after`; None if there are no rows."""
        if after is None or self._highest is None or self._numbers_per_row > _DENSE:
            return await self._key_of_row(connection, after, rows)
        step = math.ceil(rows * self._numbers_per_row)
        bound = int(after[0]) + (-step if self._query.descending else step)
        return (str(min(max(bound, -self._highest - 1), self._highest)),)

    def learn(self, after: Key | None, last: Key, rows: int) -> None:
        """Take note of how many rows a page had."""
        if self._highest is not None:
            self._numbers_per_row = abs(int(last[0]) - int(after[0])) / rows if after and rows else math.inf

    async def _key_of_row(self, connection: AsyncConnection[Any], after: Key | None, rows: int) -> Key | None:
        key = self._query.key
        texts = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(column)) for column in key)
        statement = sql.SQL(
            "SELECT {texts} FROM (SELECT {columns} FROM {table} WHERE {condition} ORDER BY {order} LIMIT {rows}) page"
            " ORDER BY {backwards} LIMIT 1"
        ).format(
            texts=texts,
            columns=self._query.columns,
            order=self._query.order,
            table=self._table.identifier,
            condition=self._query.condition(after),
            rows=sql.Literal(rows),
            backwards=self._query.backwards,
        )
        return await (await connection.execute(statement)).fetchone()
