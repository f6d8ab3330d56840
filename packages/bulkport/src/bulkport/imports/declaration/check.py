"""Checks declared resources against their tables in the database catalogue."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from psycopg import AsyncConnection
from psycopg.rows import namedtuple_row

from bulkport.imports.declaration.field_types import type_mistake
from bulkport.imports.declaration.mistakes import Mistake
from bulkport.imports.declaration.rights import right_mistakes, schema_mistake, takes_rows
from bulkport.imports.resource import Resource
from bulkport.imports.write_options import WriteMode
from bulkport.imports.writing.column_types import read_column_types
from bulkport.imports.writing.old_rows import undo_mistakes
from bulkport.imports.writing.table import incomparable_keys, table_identifier, unique_index
from bulkport.imports.writing.table_facts import TableFacts, read_facts

_COLUMNS: Final = """
    SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, t.typname AS base,
           t.typcategory AS category, a.atttypmod AS modifier, a.attnotnull AS is_required, a.atthasdef AS has_default,
           a.attidentity AS identity, a.attgenerated <> '' AS is_generated
    FROM pg_attribute a JOIN pg_type d ON d.oid = a.atttypid
    JOIN pg_type t ON t.oid = CASE WHEN d.typtype = 'd' THEN d.typbasetype ELSE d.oid END
    WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped
"""


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
    if forbidden := await schema_mistake(connection, resource.name, resource.table, name):
        return [forbidden]
    facts = await read_facts(connection, name)
    if facts is None:
        remedy = "create it, or name its schema where it is not in the search path: table='schema.table'"
        return [Mistake(resource.name, f"the table {resource.table} does not exist", remedy)]
    if not await takes_rows(connection, name):
        what = "a view that takes no rows" if facts.kind == "v" else "no table that takes rows"
        remedy = "name a table, or give the view an INSTEAD OF INSERT trigger"
        return [Mistake(resource.name, f"{resource.table} is {what}", remedy)]
    columns = await _columns(connection, name)
    return [
        *_column_mistakes(resource, columns, is_filled_by_trigger=facts.has_before_triggers or facts.kind == "v"),
        *_key_mistakes(resource, facts),
        *await _type_of_key_mistakes(connection, resource, name),
        *(Mistake(resource.name, what, remedy) for what, remedy in undo_mistakes(resource, facts)),
        *await _reference_mistakes(connection, resource),
        *await right_mistakes(connection, resource, name),
    ]


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
    for column in resource.context:
        known = columns.get(column)
        if known is None:
            what = f"the table {resource.table} has no column {column}, which context fills"
            yield Mistake(resource.name, what, "add the column, or name it in context= as the table does")
        elif known.is_generated or known.identity == "a":
            what = f"the column {column} of {resource.table} computes itself, so context cannot fill it"
            yield Mistake(resource.name, what, "take it out of context=")
    filled = {*resource.column_names, *resource.context}
    for column in columns.values():
        fills_itself = column.has_default or column.identity or column.is_generated or is_filled_by_trigger
        if column.is_required and not fills_itself and column.name not in filled:
            yield Mistake(
                resource.name,
                f"the column {column.name} of {resource.table} is NOT NULL without a default, and no field fills it",
                "give it a default, or add a field to the model",
            )


def _key_mistakes(resource: Resource, facts: TableFacts) -> Iterator[Mistake]:
    key = resource.conflict_key
    if not key or facts.kind == "v":
        return
    if missing := [column for column in key if "(" not in column and column not in facts.columns]:
        what = f"the table {resource.table} has no column {', '.join(missing)}, which conflict_key names"
        yield Mistake(resource.name, what, "name the columns of its unique key")
    elif unique_index(facts, key, resource.conflict_where) is None:
        what = f"no unique index of {resource.table} is on ({', '.join(key)}), which conflict_key names"
        index = f"CREATE UNIQUE INDEX ON {resource.table} ({', '.join(key)})"
        remedy = f"create one that is not deferrable: {index}"
        partial = [index for index in facts.unique_indexes if index.predicate and index.columns == tuple(sorted(key))]
        if partial:
            remedy = f"give the condition of its partial index: conflict_where={partial[0].predicate!r}"
        yield Mistake(resource.name, what, remedy)


async def _type_of_key_mistakes(connection: AsyncConnection[Any], resource: Resource, name: str) -> list[Mistake]:
    if all(mode is WriteMode.INSERT for mode in resource.allowed_modes):
        return []
    kinds = await read_column_types(connection, name)
    return [Mistake(resource.name, what, "name a key of other columns") for what in incomparable_keys(resource, kinds)]


async def _reference_mistakes(connection: AsyncConnection[Any], resource: Resource) -> list[Mistake]:
    found = []
    for reference in resource.references:
        name = table_identifier(reference.table).as_string(connection)
        if forbidden := await schema_mistake(connection, resource.name, reference.table, name):
            found.append(forbidden)
            continue
        columns = await _columns(connection, name)
        if not columns:
            what = f"the table {reference.table}, which the reference {reference.field} names, does not exist"
            found.append(Mistake(resource.name, what, "create it, or name its schema as well"))
            continue
        for column in (reference.column, reference.lookup_column, *reference.match):
            if column is not None and column not in columns:
                what = (
                    f"the table {reference.table} has no column {column}, which the reference {reference.field} names"
                )
                found.append(Mistake(resource.name, what, "name the column that holds it"))
    return found
