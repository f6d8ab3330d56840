"""Exporting a resource's table as CSV or NDJSON that imports again with every value equal.

PostgreSQL writes the text itself (`COPY … TO STDOUT`), page by page along the key: no connection is held while a slow
client reads, memory holds one page, and each row that is there from the beginning to the end comes exactly once.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from psycopg import AsyncConnection, sql

from bulkport.errors import ValidationFailed
from bulkport.imports.formats import BodyFormat
from bulkport.imports.resource import Resource
from bulkport.imports.table import TargetTable, table_identifier
from bulkport.pools import AsyncPool

PAGE_ROWS: Final = 20_000

# How values are written must not depend on what the role or the database prefers.
_PLAIN_TEXT: Final = (
    "SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL timezone = 'UTC'; SET LOCAL intervalstyle = 'iso_8601';"
    " SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = 'hex'; SET LOCAL lc_monetary = 'C'"
)
# A quote and a delimiter that JSON text never has: PostgreSQL then writes it as it is, one object a line.
_RAW_LINES: Final = r"FORMAT csv, QUOTE e'\x01', DELIMITER e'\x02'"
_JSON_TYPES: Final = frozenset({"json", "jsonb"})

Key: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExportQuery:
    """Which rows are exported.

    Parameters
    ----------
    key:
        Columns of the table's primary key; rows come in its order.
    search:
        Text to find anywhere in one of `search_in`, in any case; empty: all rows.
    context:
        Columns that have these texts in every row that is exported.
    """

    key: tuple[str, ...]
    search: str = ""
    search_in: tuple[str, ...] = ()
    context: Mapping[str, str | None] = field(default_factory=dict)


async def read_primary_key(connection: AsyncConnection[Any], resource: Resource) -> tuple[str, ...]:
    """The columns of the primary key of a resource's table.

    Raises
    ------
    ValidationFailed
        The table has none, so its rows cannot be read page by page.
    """
    name = table_identifier(resource.table).as_string(connection)
    rows = await (await connection.execute(_PRIMARY_KEY, (name,))).fetchall()
    if not rows:
        raise ValidationFailed({"export": [f"{resource.name} cannot be exported: the table has no primary key"]})
    return tuple(column for (column,) in rows)


_PRIMARY_KEY: Final = """
    SELECT a.attname::text
    FROM pg_catalog.pg_index i
    CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (attnum, position)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    WHERE i.indrelid = to_regclass(%s) AND i.indisprimary
    ORDER BY k.position
"""


class Export:
    """The rows of a resource's table as text.

    Parameters
    ----------
    table:
        The table as the database has it.
    """

    def __init__(self, pool: AsyncPool, table: TargetTable, query: ExportQuery) -> None:
        self._pool = pool
        self._table = table
        self._query = query

    @property
    def header(self) -> list[str]:
        """The columns' names on the wire."""
        names = self._table.resource.wire_names
        return [names[field] for field in self._table.resource.field_names]

    async def pages(self, export_format: BodyFormat) -> AsyncIterator[bytes]:
        """The rows as lines of CSV without a header, or of NDJSON; up to `PAGE_ROWS` rows at a time.

        Raises
        ------
        psycopg.Error
            The database went away.
        """
        after: Key | None = None
        while True:
            async with self._pool.connection() as connection, connection.transaction():
                await connection.execute(_PLAIN_TEXT)
                last = await self._last_key(connection, after)
                if last is None:
                    return
                page = await self._copy(connection, export_format, after, last)
            yield page
            after = last

    async def _last_key(self, connection: AsyncConnection[Any], after: Key | None) -> Key | None:
        key = sql.SQL(", ").join(map(sql.Identifier, self._query.key))
        texts = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(column)) for column in self._query.key)
        backwards = sql.SQL(", ").join(sql.SQL("{} DESC").format(sql.Identifier(column)) for column in self._query.key)
        statement = sql.SQL(
            "SELECT {texts} FROM (SELECT {key} FROM {table} WHERE {condition} ORDER BY {key} LIMIT {rows}) page"
            " ORDER BY {backwards} LIMIT 1"
        ).format(
            texts=texts,
            key=key,
            table=self._table.identifier,
            condition=self._condition(after, None),
            rows=sql.Literal(PAGE_ROWS),
            backwards=backwards,
        )
        return await (await connection.execute(statement)).fetchone()

    async def _copy(
        self,
        connection: AsyncConnection[Any],
        export_format: BodyFormat,
        after: Key | None,
        last: Key,
    ) -> bytes:
        is_csv = export_format is BodyFormat.CSV
        statement = sql.SQL("COPY (SELECT {values} FROM {table} WHERE {condition} ORDER BY {key}) TO STDOUT ({how})")
        how = sql.SQL("FORMAT csv") if is_csv else sql.SQL(_RAW_LINES)
        async with (
            connection.cursor() as cursor,
            cursor.copy(
                statement.format(
                    values=self._csv_values() if is_csv else self._json_object(),
                    table=self._table.identifier,
                    condition=self._condition(after, last),
                    key=sql.SQL(", ").join(map(sql.Identifier, self._query.key)),
                    how=how,
                )
            ) as copy,
        ):
            return b"".join([bytes(block) async for block in copy])

    def _csv_values(self) -> sql.Composed:
        # A truth value reads `true`, not `t`.
        return sql.SQL(", ").join(
            sql.SQL("{}::text" if type_ in ("boolean", "bool") else "{}").format(sql.Identifier(column))
            for column, type_ in zip(self._table.resource.column_names, self._table.column_types, strict=False)
        )

    def _json_object(self) -> sql.Composed:
        # As jsonb: a value of type json may have line ends between its tokens.
        members = sql.SQL(", ").join(
            sql.SQL("{}, {}{}").format(
                sql.Literal(name), sql.Identifier(column), sql.SQL("::jsonb" if type_ in _JSON_TYPES else "")
            )
            for name, column, type_ in zip(
                self.header, self._table.resource.column_names, self._table.column_types, strict=False
            )
        )
        return sql.SQL("json_build_object({})").format(members)

    def _condition(self, after: Key | None, last: Key | None) -> sql.Composable:
        key = sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Identifier, self._query.key)))
        conditions: list[sql.Composable] = []
        for operator, bound in ((">", after), ("<=", last)):
            if bound is not None:
                values = sql.SQL(", ").join(map(sql.Literal, bound))
                conditions.append(sql.SQL("{} {} ({})").format(key, sql.SQL(operator), values))
        for column, text in self._query.context.items():  # other contexts' rows are not shown
            conditions.append(sql.SQL("{} = {}").format(sql.Identifier(column), sql.Literal(text)))
        if self._query.search:
            pattern = "%" + self._query.search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
            found = sql.SQL(" OR ").join(
                sql.SQL("{} ILIKE {}").format(sql.Identifier(column), sql.Literal(pattern))
                for column in self._query.search_in
            )
            conditions.append(sql.SQL("({})").format(found))
        return sql.SQL(" AND ").join(conditions) if conditions else sql.SQL("true")
