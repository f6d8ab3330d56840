"""The table that a resource's rows go to: its columns and keys as a write needs them."""

import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

from psycopg import AsyncConnection, sql
from psycopg.errors import InsufficientPrivilege

from bulkport.errors import ResourceDeclarationError
from bulkport.imports.resource import Resource
from bulkport.imports.values.column_type import ColumnType, TypeKind
from bulkport.imports.write_options import WriteMode
from bulkport.imports.writing.column_types import read_column_types
from bulkport.imports.writing.placeholders import DeclaredSql
from bulkport.imports.writing.table_facts import TableFacts, UniqueIndex, read_facts

# Types for which a cast to their length or precision rounds, as storing does; a text it would cut without an error.
_ROUNDING: Final = re.compile(r"(numeric|time|timestamp|interval)\b")
_INCOMPARABLE: Final = frozenset({"json", "xml", "point", "polygon", "jsonpath"})
"""Types without an equality that keys could be found by."""
_IDENTITY: Final = sql.SQL("nextval(pg_get_serial_sequence({table}, {column})::regclass)")
_NAME_PART: Final = re.compile(r'"((?:[^"]|"")+)"|([^."]+)')


def table_identifier(name: str) -> sql.Identifier:
    """A table name, optionally with its schema, quoted; names with points stand in quotes: `"a.b"."c.d"`.

    Raises
    ------
    ResourceDeclarationError
        It has more parts than these two, or an empty one.
    """
    parts = (
        [quoted.replace('""', '"') if quoted else plain for quoted, plain in _NAME_PART.findall(name)]
        if name.startswith('"')
        else name.split(".")
    )
    if len(parts) > 2 or not all(parts):
        raise ResourceDeclarationError(
            f"table {name!r} is not a name such as 'orders' or 'shop.orders'; put names with points in quotes"
        )
    return sql.Identifier(*parts)


@dataclass(frozen=True, eq=False)
class TargetTable:
    """The table of a resource, as the database has it now. Two are equal if they come from the same look at it."""

    resource: Resource
    facts: TableFacts
    names: tuple[str, ...]
    """Every written column: the resource's `column_names`, then its context's columns."""
    column_types: tuple[str, ...]
    """Base type of each column, without length or precision, parallel to `names`.

    Without: a cast to `varchar(100)` would cut a long value without an error, where assignment refuses it.
    """
    types: tuple[ColumnType, ...]
    """What each imported column's values are read and written as, parallel to `resource.column_names`."""
    wants_results: bool = field(default=False, kw_only=True)
    """Whether the outcome and id of each row are requested."""
    import_id: int | None = field(default=None, kw_only=True)
    """The import whose created rows are marked for undo; None to mark none."""
    blames_rows: bool = field(default=False, kw_only=True)
    """Whether a fault of the server that a trigger raises is a row's by now: it has lasted for some attempts."""
    keeps_old_rows: bool = field(default=False, kw_only=True)
    """Whether stored rows are recorded before they are changed."""
    wants_differences: bool = field(default=False, kw_only=True)
    """Whether old and new values of changed rows are requested."""
    unique_keys: tuple[tuple[int, ...], ...]
    """Plain unique keys that lie wholly in the written columns, as positions in `names`."""

    def with_column(self, name: str) -> "TargetTable":
        """The table with one more written column at the end."""
        return replace(
            self,
            names=(*self.names, name),
            column_types=(*self.column_types, self.facts.columns[name].type),
        )

    def default_of(self, name: str) -> sql.Composable | None:
        """The expression by which the database fills a column that no value is given for; None if it has none."""
        column = self.facts.columns[name]
        if column.default is not None:
            return DeclaredSql(column.default)
        if not column.identity:
            return None
        return _IDENTITY.format(table=sql.Literal(self.identifier.as_string()), column=sql.Literal(name))

    @cached_property
    def filled(self) -> frozenset[str]:
        """The columns that take no null and have a default, which a new row without a value for them gets."""
        return frozenset(
            name
            for name in self.resource.column_names
            if self.facts.columns[name].not_null and self.default_of(name) is not None
        )

    @property
    def overriding(self) -> sql.SQL:
        """The clause by which INSERT takes a value for an identity column that is ALWAYS generated, as COPY does."""
        is_always = any(self.facts.columns[name].identity == "a" for name in self.names)
        return sql.SQL("OVERRIDING SYSTEM VALUE " if is_always else "")

    @property
    def has_deferred_constraints(self) -> bool:
        """Whether PostgreSQL checks some of the table's constraints at commit only, unless set otherwise."""
        return self.facts.has_deferred_constraints

    @property
    def identifier(self) -> sql.Identifier:
        """The table's quoted name."""
        return table_identifier(self.resource.table)

    @property
    def columns(self) -> sql.Composed:
        """The written columns, quoted, for a column list."""
        return sql.SQL(", ").join(map(sql.Identifier, self.names))

    def key_part(self, part: str, alias: str | None = None) -> sql.Composable:
        """A column of the key, quoted, or an expression over columns as it was declared."""
        if part in self.facts.columns:
            return sql.Identifier(alias, part) if alias else sql.Identifier(part)
        if alias is None:
            return sql.SQL("({})").format(DeclaredSql(part))
        # An expression names its columns bare: it is evaluated where only one relation has them.
        return sql.SQL("(SELECT {} FROM (SELECT {}.*) AS parts)").format(DeclaredSql(part), sql.Identifier(alias))

    def rounded(self, name: str) -> sql.SQL:
        """The type of a key's column with its precision, where storing a value rounds it."""
        column = self.facts.columns[name]
        return sql.SQL(column.exact_type if _ROUNDING.match(column.type) else column.type)  # named by the catalogue

    def unique_index_of(self, key: tuple[str, ...], where: str | None) -> UniqueIndex | None:
        """See `unique_index`."""
        return unique_index(self.facts, key, where)


def unique_index(facts: TableFacts, key: tuple[str, ...], where: str | None) -> UniqueIndex | None:
    """A unique index over exactly these key parts that every row is in, or those of `where`.

    It is none of a deferrable constraint, which ON CONFLICT cannot use.
    """
    return next((index for index in _indexes_over(facts, key, where) if index.is_immediate), None)


def _indexes_over(facts: TableFacts, key: tuple[str, ...], where: str | None) -> list[UniqueIndex]:
    wanted = sorted(map(_normalized, key))
    return [
        index
        for index in facts.unique_indexes
        if (index.predicate is None or where is not None) and sorted(map(_normalized, index.parts)) == wanted
    ]


class TableCatalogue:
    """Tables of resources, looked up once and remembered for a while.

    A migration may change a table under a running worker: what is remembered is looked up again after
    `max_age_seconds`, and at once when an attempt has failed (`forget`).
    """

    def __init__(self, max_age_seconds: float = 30.0) -> None:
        self._max_age_seconds = max_age_seconds
        self._tables: dict[tuple[str, str], tuple[float, TargetTable]] = {}

    async def get(self, connection: AsyncConnection[Any], resource: Resource) -> TargetTable:
        """The table of `resource`; raises as `read_table`."""
        now = time.monotonic()
        key = (resource.name, resource.default_mode)
        looked_up_at, table = self._tables.get(key, (-math.inf, None))
        if table is None or now - looked_up_at > self._max_age_seconds:
            table = await read_table(connection, resource)
            self._tables[key] = (now, table)
        return table

    def forget(self) -> None:
        """Look every table up again when it is next needed."""
        self._tables.clear()


async def read_table(connection: AsyncConnection[Any], resource: Resource) -> TargetTable:
    """Look a resource's table up in the catalogue.

    Raises
    ------
    ResourceDeclarationError
        If the table or one of the columns does not exist, or the table takes no values for a column.
    """
    name = table_identifier(resource.table).as_string(connection)
    try:
        facts = await read_facts(connection, name)
    except InsufficientPrivilege as error:
        raise ResourceDeclarationError(f"resource {resource.name!r}: {error.diag.message_primary}") from error
    if facts is None:
        raise ResourceDeclarationError(f"resource {resource.name!r}: table {resource.table} does not exist")
    names = (*resource.column_names, *resource.context)
    _check_columns(resource, facts, names)
    kinds = await read_column_types(connection, name)
    positions = {column: position for position, column in enumerate(names)}
    keys = [index.plain for index in facts.unique_indexes]
    table = TargetTable(
        resource=resource,
        facts=facts,
        names=names,
        column_types=tuple(facts.columns[column].type for column in names),
        types=tuple(kinds[column] for column in resource.column_names),
        unique_keys=tuple(
            tuple(positions[column] for column in key)
            for key in keys
            if key is not None and all(column in positions for column in key)
        ),
    )
    _check_key(table)
    if resource.default_mode is not WriteMode.INSERT and (incomparable := incomparable_keys(resource, kinds)):
        raise ResourceDeclarationError(f"resource {resource.name!r}: {incomparable[0]}")
    if any(kind.kind is TypeKind.ARRAY for kind in table.types):
        await _require_array_nulls(connection, resource)
    return table


def incomparable_keys(resource: Resource, kinds: Mapping[str, ColumnType]) -> list[str]:
    """The message about key columns whose type PostgreSQL cannot compare."""
    return [
        f"the key's column {name} is {kinds[name].name}, whose values PostgreSQL cannot compare"
        for name in resource.write_key
        if name in kinds and _is_incomparable(kinds[name])
    ]


def _is_incomparable(kind: ColumnType) -> bool:
    parts = [kind.element] if kind.kind is TypeKind.ARRAY and kind.element else [part for _, part in kind.attributes]
    return kind.name in _INCOMPARABLE if not parts else any(map(_is_incomparable, parts))


async def _require_array_nulls(connection: AsyncConnection[Any], resource: Resource) -> None:
    row = await (await connection.execute("SELECT current_setting('array_nulls')")).fetchone()
    if row is not None and row[0] == "off":
        raise ResourceDeclarationError(
            f"resource {resource.name!r}: array_nulls is off, so that nulls in arrays would become the text NULL; "
            "set it to on for the database or the worker's role"
        )


def _check_columns(resource: Resource, facts: TableFacts, names: tuple[str, ...]) -> None:
    def refuse(text: str) -> None:
        raise ResourceDeclarationError(f"resource {resource.name!r}: {text}")

    if missing := [column for column in names if column not in facts.columns]:
        refuse(f"table {resource.table} has no column {', '.join(missing)}")
    for name in names:
        column = facts.columns[name]
        if column.generated:
            refuse(f"{resource.table}.{name} is a generated column: leave it out of the model, the table computes it")
        if column.identity == "a":
            refuse(
                f"{resource.table}.{name} is GENERATED ALWAYS AS IDENTITY: leave it out of the model, or make it "
                "GENERATED BY DEFAULT"
            )


def _check_key(table: TargetTable) -> None:
    resource = table.resource
    if (
        table.facts.kind == "v"
        and len(resource.write_key) > 1
        and resource.default_mode in (WriteMode.UPDATE, WriteMode.DELETE)
    ):
        raise ResourceDeclarationError(
            f"resource {resource.name!r}: rows of a view are found by a key of one column only"
        )
    if not resource.conflict_key or table.facts.kind == "v":
        return
    if table.unique_index_of(resource.conflict_key, resource.conflict_where) is not None:
        return
    if deferrable := _indexes_over(table.facts, resource.conflict_key, resource.conflict_where):
        raise ResourceDeclarationError(
            f"resource {resource.name!r}: {deferrable[0].name}, the constraint behind conflict_key, is DEFERRABLE "
            "or WITHOUT OVERLAPS, which ON CONFLICT does not take; create another one, or say `key=` in place of "
            "`conflict_key=`"
        )
    key = ", ".join(resource.conflict_key)
    partial = [
        index
        for index in table.facts.unique_indexes
        if index.predicate and list(index.columns) == [*resource.conflict_key]
    ]
    mend = (
        f"give its condition: conflict_where={partial[0].predicate!r}"
        if partial
        else "create one, or say `key=` in place of `conflict_key=`"
    )
    raise ResourceDeclarationError(
        f"resource {resource.name!r}: conflict_key ({key}) has no unique index on {resource.table} behind it; {mend}"
    )


def _normalized(part: str) -> str:
    """A key part without the differences that writing it makes: blanks, quotes, and casts that PostgreSQL adds."""
    return re.sub(r"[\s()\"]", "", re.sub(r"::[a-z ]+(\(\d+\))?", "", part)).lower()
