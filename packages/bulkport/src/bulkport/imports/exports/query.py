"""Selects and orders the rows of an export."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from psycopg import AsyncConnection, sql
from pydantic.alias_generators import to_camel

from bulkport.database.row_security import TENANT_ROLE
from bulkport.errors import ValidationFailed
from bulkport.imports.resource import Resource
from bulkport.imports.writing.table import TargetTable, table_identifier

Key: TypeAlias = tuple[str, ...]
"""The primary key of one row, as texts."""

_UNORDERED: Final = frozenset({"json", "xml", "point", "line", "polygon", "box", "circle", "path", "lseg"})

_PRIMARY_KEY: Final = """
    SELECT a.attname::text
    FROM pg_catalog.pg_index i
    CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (attnum, position)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    WHERE i.indrelid = to_regclass(%s) AND i.indisprimary
    ORDER BY k.position
"""

_IS_GRANTED: Final = "SELECT has_table_privilege(to_regrole(%s), to_regclass(%s), 'SELECT')"


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


async def is_granted(connection: AsyncConnection[Any], resource: Resource) -> bool:
    """Whether the role of users' requests may read the resource's table."""
    name = table_identifier(resource.table).as_string(connection)
    row = await (await connection.execute(_IS_GRANTED, (TENANT_ROLE, name))).fetchone()
    return row is not None and bool(row[0])


def sort_columns(table: TargetTable) -> dict[str, str]:
    """The columns that an export may be sorted by, by their names on the wire: those without nulls or odd orders."""
    resource = table.resource
    wires = dict(zip(resource.column_names, (resource.wire_names[name] for name in resource.field_names), strict=True))
    return {
        wires.get(name, to_camel(name)): name
        for name, column in table.facts.columns.items()
        if column.not_null and name not in resource.context and column.type not in _UNORDERED
    }


@dataclass(frozen=True, slots=True)
class ExportQuery:
    """Which rows are exported.

    Parameters
    ----------
    key:
        Columns that identify rows, in whose order they come: those of the primary key, maybe behind one to sort by.
    search:
        Text to find anywhere in one of `search_in`, in any case; empty: all rows.
    context:
        Columns that have these texts in every row that is exported.
    """

    key: tuple[str, ...]
    search: str = ""
    search_in: tuple[str, ...] = ()
    context: Mapping[str, str | None] = field(default_factory=dict)
    descending: bool = False

    @property
    def columns(self) -> sql.Composed:
        """The columns of the key."""
        return sql.SQL(", ").join(map(sql.Identifier, self.key))

    @property
    def order(self) -> sql.Composed:
        """What follows ORDER BY."""
        return self._ordered("DESC" if self.descending else "ASC")

    @property
    def backwards(self) -> sql.Composed:
        """What follows ORDER BY where the last row comes first."""
        return self._ordered("ASC" if self.descending else "DESC")

    def _ordered(self, direction: str) -> sql.Composed:
        return sql.SQL(", ").join(sql.Identifier(column) + sql.SQL(f" {direction}") for column in self.key)

    def condition(self, after: Key | None = None, last: Key | None = None) -> sql.Composable:
        """The condition of WHERE: all rows, or those behind the key `after` up to `last`."""
        key = sql.SQL("({})").format(self.columns)
        conditions: list[sql.Composable] = []
        for operator, bound in (("<" if self.descending else ">", after), (">=" if self.descending else "<=", last)):
            if bound is not None:
                values = sql.SQL(", ").join(map(sql.Literal, bound))
                conditions.append(sql.SQL("{} {} ({})").format(key, sql.SQL(operator), values))
        for column, text in self.context.items():  # other contexts' rows are not shown
            is_it = sql.SQL("IS NULL") if text is None else sql.SQL("= {}").format(sql.Literal(text))
            conditions.append(sql.SQL("{} {}").format(sql.Identifier(column), is_it))
        if self.search:
            pattern = "%" + self.search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
            found: list[sql.Composable] = [
                sql.SQL("{} ILIKE {}").format(sql.Identifier(column), sql.Literal(pattern)) for column in self.search_in
            ]
            conditions.append(sql.SQL("({})").format(sql.SQL(" OR ").join(found or [sql.SQL("false")])))
        return sql.SQL(" AND ").join(conditions) if conditions else sql.SQL("true")
