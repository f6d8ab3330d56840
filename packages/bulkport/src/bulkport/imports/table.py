"""What the database says of a resource's table: column types and unique keys."""

import math
import time
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection, sql

from bulkport.errors import ResourceDeclarationError
from bulkport.imports import process_queries as queries
from bulkport.imports.column_types import read_column_types
from bulkport.imports.resource import Resource
from bulkport.imports.values.column_type import ColumnType


def table_identifier(name: str) -> sql.Identifier:
    """A table name, optionally with its schema, quoted."""
    return sql.Identifier(*name.split("."))


@dataclass(frozen=True, slots=True, eq=False)
class TargetTable:
    """The table of a resource, as the database has it now. Two are equal if they come from the same look at it."""

    resource: Resource
    column_types: tuple[str, ...]
    """Base type of each imported column, without length or precision, parallel to `resource.column_names`.

    Without: a cast to `varchar(100)` would cut a long value in silence, where assignment refuses it.
    """
    types: tuple[ColumnType, ...]
    """What each imported column's values are read and written as, parallel to `resource.column_names`."""
    unique_keys: tuple[tuple[int, ...], ...]
    """Unique keys that lie wholly in imported columns, as positions in `resource.column_names`."""
    has_deferred_constraints: bool
    """Whether PostgreSQL checks some of the table's constraints at commit only, unless told otherwise."""

    @property
    def identifier(self) -> sql.Identifier:
        """The table's quoted name."""
        return table_identifier(self.resource.table)

    @property
    def columns(self) -> sql.Composed:
        """The imported columns, quoted, for a column list."""
        return sql.SQL(", ").join(map(sql.Identifier, self.resource.column_names))


class TableCatalogue:
    """Tables of resources, looked up once and remembered for a while.

    A migration may change a table under a running worker: what is remembered is looked up again after
    `max_age_seconds`, and at once when an attempt has failed (`forget`).
    """

    def __init__(self, max_age_seconds: float = 30.0) -> None:
        self._max_age_seconds = max_age_seconds
        self._tables: dict[str, tuple[float, TargetTable]] = {}

    async def get(self, connection: AsyncConnection[Any], resource: Resource) -> TargetTable:
        """The table of `resource`; raises as `read_table`."""
        now = time.monotonic()
        looked_up_at, table = self._tables.get(resource.name, (-math.inf, None))
        if table is None or now - looked_up_at > self._max_age_seconds:
            table = await read_table(connection, resource)
            self._tables[resource.name] = (now, table)
        return table

    def forget(self) -> None:
        """Look every table up again when it is next needed."""
        self._tables.clear()


async def read_table(connection: AsyncConnection[Any], resource: Resource) -> TargetTable:
    """Look a resource's table up in the catalogue.

    Raises
    ------
    ResourceDeclarationError
        If the table or one of the columns does not exist.
    """
    name = table_identifier(resource.table).as_string(connection)
    types = dict(await (await connection.execute(queries.TABLE_COLUMNS, (name,))).fetchall())
    if not types:
        raise ResourceDeclarationError(f"resource {resource.name!r}: table {resource.table} does not exist")
    if missing := [column for column in resource.column_names if column not in types]:
        raise ResourceDeclarationError(
            f"resource {resource.name!r}: table {resource.table} has no column {', '.join(missing)}"
        )
    kinds = await read_column_types(connection, name)
    positions = {column: position for position, column in enumerate(resource.column_names)}
    keys = await (await connection.execute(queries.UNIQUE_KEYS, (name,))).fetchall()
    deferred = await (await connection.execute(queries.DEFERRED_CONSTRAINTS, (name,))).fetchall()
    return TargetTable(
        resource=resource,
        column_types=tuple(types[column] for column in resource.column_names),
        types=tuple(kinds[column] for column in resource.column_names),
        unique_keys=tuple(
            tuple(positions[column] for column in key) for (key,) in keys if all(column in positions for column in key)
        ),
        has_deferred_constraints=bool(deferred),
    )
