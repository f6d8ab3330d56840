"""Keeping stored rows as they are before an import changes or deletes them, so that an undo can bring them back.

The old row is written in the savepoint of the change, so both have the same `xmin`: whether anybody has changed the row
since is found as for created rows, see `undo`. Values are kept as text by column, which PostgreSQL reads as the same
values, whatever their type; JSON would lose a `null` of JSON, and the bounds of arrays.
"""

from collections.abc import Iterator
from typing import Any, Final

from psycopg import AsyncConnection, sql

from bulkport.imports.resource import Resource
from bulkport.imports.write_options import WriteMode
from bulkport.imports.writing.matched import id_column, id_type
from bulkport.imports.writing.placeholders import escaped
from bulkport.imports.writing.rows import WritableRows
from bulkport.imports.writing.table import TargetTable
from bulkport.imports.writing.table_facts import TableFacts

# Output formats must not depend on settings of the role or the database. The time zone stays, as triggers see it.
PLAIN_TEXT: Final = (
    "SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL intervalstyle = 'iso_8601'; SET LOCAL extra_float_digits = 1;"
    " SET LOCAL bytea_output = 'hex'; SET LOCAL xmloption = 'content'"
)

_KEEP: Final = sql.SQL("""
    INSERT INTO bulkport.import_old_rows (job_id, relation, is_deleted, previous, row_key, old_values)
    SELECT {job}, {members} FROM {table} AS stored JOIN unnest(%b::text[]) AS given (id) ON {id} = given.id::{kind}
""")


async def keep_old_rows(connection: AsyncConnection[Any], table: TargetTable, rows: WritableRows) -> None:
    """Record the stored rows whose ids are the last column, if the import records old rows."""
    if not table.keeps_old_rows:
        return
    statement = _KEEP.format(
        job=sql.Literal(table.import_id),
        members=_members(table),
        table=table.identifier,
        id=id_column(table),
        kind=id_type(table),
    )
    await connection.execute(escaped(statement, connection), (rows.columns[-1],))


def old_row_query(table: TargetTable) -> sql.Composed:
    """The query for the recorded values of one stored row, whose id is the last member of `$1`."""
    own = sql.SQL(f"$1[{len(table.names) + 1}]")
    return sql.SQL("SELECT {} FROM {} AS stored WHERE {} = {}::{}").format(
        _members(table), table.identifier, id_column(table), own, id_type(table)
    )


def saved_columns(facts: TableFacts) -> list[str]:
    """Columns whose values are recorded: those that the table does not compute."""
    return [column.name for column in facts.columns.values() if not column.generated]


def undo_mistakes(resource: Resource, facts: TableFacts) -> Iterator[tuple[str, str]]:
    """Mistakes of a resource with `undo="full"`, each with its remedy."""
    if resource.undo != "full":
        return
    if facts.kind not in ("r", "p") or facts.has_rules:
        yield f'{resource.table} is not a plain table, which undo="full" requires', 'leave undo="full" away'
        return
    if not facts.primary_key:
        what = f'{resource.table} has no primary key, by which undo="full" finds rows again'
        yield what, 'give it one, or leave undo="full" away'
    changed = {*resource.column_names, *resource.context} - {*resource.write_key}
    if set(resource.allowed_modes) & {WriteMode.UPSERT, WriteMode.UPDATE} and changed & {*facts.primary_key}:
        what = f'imports change the primary key of {resource.table}, by which undo="full" finds rows again'
        yield what, "take it into the key, or out of the model"


def _members(table: TargetTable) -> sql.Composed:
    columns = saved_columns(table.facts)
    return sql.SQL(
        "{relation}::regclass::oid AS relation, {is_deleted} AS is_deleted, stored.xmin::text AS previous, "
        "ARRAY[{key}] AS row_key, jsonb_object(ARRAY[{names}], ARRAY[{values}]) AS old_values"
    ).format(
        relation=sql.Literal(table.identifier.as_string(None)),
        is_deleted=sql.Literal(table.resource.default_mode is WriteMode.DELETE),
        key=_texts(table.facts.primary_key),
        names=sql.SQL(", ").join(map(sql.Literal, columns)),
        values=_texts(columns),
    )


def _texts(columns: Any) -> sql.Composed:
    return sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier("stored", name)) for name in columns)
