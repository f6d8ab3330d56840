"""References to rows of other tables: names resolved to ids, and ids checked, one statement a chunk each.

The ids that exist are locked FOR KEY SHARE until the chunk commits, as the foreign key's own trigger would do: no one
can delete them in between.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Final

from psycopg import AsyncConnection, errors, sql

from bulkport.errors import ResourceDeclarationError
from bulkport.imports.resource import Reference
from bulkport.imports.writing.placeholders import DeclaredSql, escaped
from bulkport.imports.writing.table import table_identifier
from bulkport.sanitize import is_storable_text

_INTEGER_LIMITS: Final = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}
_MAX_REMEMBERED: Final = 100_000
_NO_CONTEXT: Final[Mapping[str, str | None]] = MappingProxyType({})


_LOOK_UPS: Final = {
    "text": sql.SQL(
        "SELECT DISTINCT ON ({name}) {name}, {id} FROM {table} AS other "
        "WHERE {name} = ANY(%b::text[]){condition} ORDER BY {name}, {id}"
    ),
    # Equal names may have several spellings, each of which is looked up.
    "citext": sql.SQL(
        "SELECT DISTINCT ON (given.name) given.name, other.{id} FROM unnest(%b::text[]) AS given (name) "
        "JOIN {table} AS other ON other.{name} = given.name::{type} WHERE true{condition} "
        "ORDER BY given.name, other.{id}"
    ),
    "other": sql.SQL(
        "SELECT DISTINCT ON ({name}) {name}::text, {id} FROM {table} AS other "
        "WHERE {name}::text = ANY(%b::text[]){condition} ORDER BY {name}, {id}"
    ),
}
_TYPE: Final = """
    SELECT CASE WHEN t.typname = 'citext' THEN 'citext'
                WHEN t.typcategory = 'S' AND t.typname <> 'bpchar' THEN 'text' ELSE 'other' END,
           format_type(t.oid, -1)
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = to_regclass(%s) AND a.attname = %s AND NOT a.attisdropped
"""


class NameResolver:
    """Ids by name for one reference, remembered for the length of one attempt at an import.

    Where several rows have the name, the lowest id is taken. A remembered id may be deleted meanwhile; the check of
    ids before the write finds that out.
    """

    def __init__(self, reference: Reference, context: Mapping[str, str | None] = _NO_CONTEXT) -> None:
        self._reference = reference
        self._context = context
        self._ids: dict[str, Any] = {}
        self._type: tuple[str, str] | None = None

    async def resolve(self, connection: AsyncConnection[Any], names: Iterable[str]) -> dict[str, Any]:
        """Ids of those names that exist."""
        wanted = set(names)
        unknown = [name for name in wanted - self._ids.keys() if is_storable_text(name)]
        if unknown:
            found = await self._look_up(connection, unknown)
            if len(self._ids) + len(found) > _MAX_REMEMBERED:
                self._ids = {name: self._ids[name] for name in wanted & self._ids.keys()}
            self._ids |= found
        return {name: self._ids[name] for name in wanted if name in self._ids}

    async def _look_up(self, connection: AsyncConnection[Any], names: list[str]) -> dict[str, Any]:
        reference = self._reference
        assert reference.lookup_column is not None
        condition, parameters = conditions(reference, self._context)
        if self._type is None:
            table = table_identifier(reference.table).as_string(connection)
            found = await (await connection.execute(_TYPE, (table, reference.lookup_column))).fetchone()
            self._type = found or ("text", "text")
        kind, type_ = self._type
        statement = _LOOK_UPS[kind].format(
            type=sql.SQL(type_),  # named by the catalogue
            condition=condition,
            name=sql.Identifier(reference.lookup_column),
            id=sql.Identifier(reference.column),
            table=table_identifier(reference.table),
        )
        with _as_declared(reference):
            return dict(
                await (await connection.execute(escaped(statement, connection), (names, *parameters))).fetchall()
            )


async def existing_ids(
    connection: AsyncConnection[Any],
    reference: Reference,
    column_type: str,
    values: Sequence[Any],
    context: Mapping[str, str | None] = _NO_CONTEXT,
) -> set[Any]:
    """Those of the ids that the referenced table has, locked FOR KEY SHARE until the transaction ends."""
    limit = _INTEGER_LIMITS.get(column_type)
    wanted = {value for value in values if value is not None}
    if limit is not None:
        wanted = {value for value in wanted if isinstance(value, int) and -limit <= value < limit}
    if not wanted:
        return set()
    by_text = {str(value): value for value in wanted}
    condition, parameters = conditions(reference, context)
    statement = sql.SQL(
        "SELECT {id}::text FROM {table} AS other WHERE {id} = ANY((%b::text[])::{kind}[]){condition} "
        "ORDER BY {id} FOR KEY SHARE"
    ).format(
        condition=condition,
        id=sql.Identifier(reference.column),
        table=table_identifier(reference.table),
        kind=sql.SQL(column_type),  # named by the catalogue
    )
    with _as_declared(reference):
        rows = await (await connection.execute(escaped(statement, connection), (list(by_text), *parameters))).fetchall()
    return {by_text[text] for (text,) in rows if text in by_text}


@contextmanager
def _as_declared(reference: Reference) -> Iterator[None]:
    """A table or column that is not there, or may not be read, is the declaration's fault, and no attempt mends it."""
    try:
        yield
    except (
        *(errors.UndefinedTable, errors.UndefinedColumn, errors.UndefinedFunction),
        *(errors.InvalidSchemaName, errors.InsufficientPrivilege),
    ) as error:
        message = f"reference {reference.field!r}: {error.diag.message_primary}"
        raise ResourceDeclarationError(message) from error


def conditions(reference: Reference, context: Mapping[str, str | None]) -> tuple[sql.Composed, list[str | None]]:
    """What else the other row must be: of the declaration's own SQL, and of the request's context."""
    parts = [sql.SQL(" AND ({})").format(DeclaredSql(reference.where))] if reference.where else []
    parts += [sql.SQL(" AND {} = %s").format(sql.Identifier("other", column)) for column in reference.match]
    return sql.Composed(parts), [context[name] for name in reference.match.values()]
