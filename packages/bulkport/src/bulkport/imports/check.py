"""Whether declared resources fit their tables, asked of the database's catalogue."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from psycopg import AsyncConnection
from psycopg.rows import namedtuple_row

from bulkport.imports.field_types import type_mistake
from bulkport.imports.resource import Resource
from bulkport.imports.table import table_identifier

_COLUMNS: Final = """
    SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, t.typname AS base,
           t.typcategory AS category, a.atttypmod AS modifier, a.attnotnull AS is_required, a.atthasdef AS has_default,
           a.attidentity AS identity, a.attgenerated <> '' AS is_generated
    FROM pg_attribute a JOIN pg_type d ON d.oid = a.atttypid
    JOIN pg_type t ON t.oid = CASE WHEN d.typtype = 'd' THEN d.typbasetype ELSE d.oid END
    WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped
"""

# Only indexes that ON CONFLICT can infer by columns: unique, not partial, not of expressions, checked at once.
_UNIQUE_KEYS: Final = """
    SELECT ARRAY(
        SELECT a.attname::text FROM unnest(i.indkey[0 : i.indnkeyatts - 1]) k
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k
    )
    FROM pg_index i
    WHERE i.indrelid = to_regclass(%s) AND i.indisunique AND i.indisvalid AND i.indimmediate
      AND i.indpred IS NULL AND i.indexprs IS NULL
"""

_RIGHTS: Final = """
    SELECT current_user, has_table_privilege(%(table)s, 'INSERT'), has_table_privilege(%(table)s, 'UPDATE'),
           EXISTS (
               SELECT FROM pg_trigger
               WHERE tgrelid = to_regclass(%(table)s) AND NOT tgisinternal
                 AND tgtype & 7 = 7  -- BEFORE INSERT, for each row
           )
"""


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something that keeps a resource's imports from working."""

    resource: str
    what: str
    """What is wrong."""
    remedy: str
    """What mends it."""
    is_fatal: bool = True
    """Whether no row can be imported; otherwise some rows will be refused that the model accepts."""

    def __str__(self) -> str:
        return f"resource {self.resource!r}: {self.what}; {self.remedy}"


async def check_resources(connection: AsyncConnection[Any], resources: Iterable[Resource]) -> list[Mistake]:
    """All mistakes in the declarations of these resources, in their order.

    Raises
    ------
    psycopg.Error
        The database cannot be asked.
    """
    return [mistake for resource in resources for mistake in await check_resource(connection, resource)]


async def check_resource(connection: AsyncConnection[Any], resource: Resource) -> list[Mistake]:
    """All mistakes in the declaration of one resource."""
    name = table_identifier(resource.table).as_string(connection)
    columns = await _columns(connection, name)
    if not columns:
        remedy = "create it, or name its schema where it is not in the search path: table='schema.table'"
        return [Mistake(resource.name, f"the table {resource.table} does not exist", remedy)]
    rights = await (await connection.execute(_RIGHTS, {"table": name})).fetchone()
    assert rights is not None
    user, may_insert, may_update, has_trigger = rights
    keys = [frozenset(key) for (key,) in await (await connection.execute(_UNIQUE_KEYS, (name,))).fetchall()]
    found = [
        *_column_mistakes(resource, columns, is_filled_by_trigger=has_trigger),
        *_key_mistakes(resource, columns, keys),
        *await _reference_mistakes(connection, resource),
    ]
    rights_needed = {"INSERT": may_insert, **({"UPDATE": may_update} if resource.conflict == "update" else {})}
    for right, is_granted in rights_needed.items():
        if not is_granted:
            what = f"the role {user} may not {right} into {resource.table}"
            found.append(Mistake(resource.name, what, f"GRANT {right} ON {resource.table} TO {user}"))
    return found


async def _columns(connection: AsyncConnection[Any], table: str) -> dict[str, Any]:
    async with connection.cursor(row_factory=namedtuple_row) as cursor:
        rows = await (await cursor.execute(_COLUMNS, (table,))).fetchall()
    return {getattr(row, "name"): row for row in rows}  # noqa: B009 # its type does not have the columns


def _column_mistakes(resource: Resource, columns: dict[str, Any], *, is_filled_by_trigger: bool) -> Iterator[Mistake]:
    for field, column in zip(resource.field_names, resource.column_names, strict=True):
        known = columns.get(column)
        if known is None:
            yield Mistake(
                resource.name,
                f"the table {resource.table} has no column {column} for the field {field}",
                f"add the column, or name another one: columns={{{field!r}: …}}",
            )
        elif known.is_generated or known.identity == "a":
            kind = "generated" if known.is_generated else "GENERATED ALWAYS AS IDENTITY"
            yield Mistake(
                resource.name,
                f"the column {column} of {resource.table} is {kind}, so nothing can be written to it",
                f"take the field {field} out of the model",
            )
        elif what := type_mistake(resource.model.model_fields[field], known):
            yield Mistake(
                resource.name,
                f"the column {column} of {resource.table} is {known.type}, which cannot hold the field {field}: {what}",
                "change the column's type or the field's",
                is_fatal=False,
            )
    filled = {*resource.column_names, *getattr(resource, "context", ())}
    for column in columns.values():
        fills_itself = column.has_default or column.identity or column.is_generated or is_filled_by_trigger
        if column.is_required and not fills_itself and column.name not in filled:
            yield Mistake(
                resource.name,
                f"the column {column.name} of {resource.table} is NOT NULL without a default, and no field fills it",
                "give it a default, or add a field to the model",
            )


def _key_mistakes(resource: Resource, columns: dict[str, Any], keys: list[frozenset[str]]) -> Iterator[Mistake]:
    key = resource.conflict_key
    if not key or any("(" in part for part in key):
        return
    if missing := [column for column in key if column not in columns]:
        what = f"the table {resource.table} has no column {', '.join(missing)}, which conflict_key names"
        yield Mistake(resource.name, what, "name the columns of its unique key")
    elif frozenset(key) not in keys:
        what = f"no unique index of {resource.table} is on ({', '.join(key)}), which conflict_key names"
        index = f"CREATE UNIQUE INDEX ON {resource.table} ({', '.join(key)})"
        yield Mistake(resource.name, what, f"make one that is neither partial nor deferrable: {index}")


async def _reference_mistakes(connection: AsyncConnection[Any], resource: Resource) -> list[Mistake]:
    found = []
    for reference in resource.references:
        columns = await _columns(connection, table_identifier(reference.table).as_string(connection))
        if not columns:
            what = f"the table {reference.table}, which the reference {reference.field} names, does not exist"
            found.append(Mistake(resource.name, what, "create it, or name its schema as well"))
            continue
        for column in (reference.column, reference.lookup_column):
            if column is not None and column not in columns:
                what = (
                    f"the table {reference.table} has no column {column}, which the reference {reference.field} names"
                )
                found.append(Mistake(resource.name, what, "name the column that holds it"))
    return found
