"""Restores the rows that an import changed or deleted, for undo; see `old_rows`.

A row comes back where its last writer is still the import: the old row that the import kept of it has the same
`xmin`. Of several changes by one import the oldest counts that nobody else's came after. What is brought back has a new
`xmin`, that of the undo; so old rows that earlier imports kept of it are written again beside it, and those imports can
be undone next.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection, sql

from bulkport.identifiers import ImportId
from bulkport.imports.writing.matched import id_column
from bulkport.imports.writing.old_rows import saved_columns
from bulkport.imports.writing.placeholders import escaped
from bulkport.imports.writing.refusal_messages import Fault, refusal
from bulkport.imports.writing.rejections import is_row_refusal
from bulkport.imports.writing.table import TargetTable

Restore = Callable[[AsyncConnection[Any], TargetTable, Sequence[str]], Awaitable[int]]
"""Brings rows back by one statement; returns how many."""

CHANGED: Final = "changed since the import"
GONE: Final = "deleted since the import"
_AGED: Final = "too many transactions since the import to tell whether it was changed"

# A dump that was restored in one transaction has given all rows one number, that of Bulkport's list of migrations, too.
# One line for each stored row: the old row to restore, the last one recorded of it, and its current state. A change
# that somebody else's came before begins a new run of changes.
# It joins nothing but the table itself: without statistics, the planner takes the old rows for few, and would compare
# each with every other.
_PLAN: Final = sql.SQL("""
    WITH saved AS (
        SELECT o.id, o.row_key, o.previous, o.xmin::text AS writer, lag(o.xmin::text) OVER changes AS earlier,
               pg_current_xact_id()::text::bigint - o.written_in >= 4294967296 AS is_aged, o.is_deleted
        FROM bulkport.import_old_rows o
        WHERE o.job_id = %(job_id)s AND o.relation = {relation}::regclass::oid
          AND o.xmin NOT IN (SELECT xmin FROM bulkport.migrations)
        WINDOW changes AS (PARTITION BY o.row_key ORDER BY o.id)
    ), runs AS (
        SELECT *, count(*) FILTER (WHERE earlier IS NULL OR earlier <> previous)
                  OVER (PARTITION BY row_key ORDER BY id) AS run
        FROM saved
    ), ranked AS (
        SELECT *, max(run) OVER (PARTITION BY row_key) AS last_run FROM runs
    ), changed AS (
        SELECT row_key, min(id) FILTER (WHERE run = last_run) AS first_id, max(id) AS last_id,
               (array_agg(previous ORDER BY id) FILTER (WHERE run = last_run))[1] AS first_previous,
               (array_agg(previous ORDER BY id DESC))[1] AS last_previous,
               (array_agg(writer ORDER BY id DESC))[1] AS last_writer,
               (array_agg(is_aged ORDER BY id DESC))[1] AS is_aged,
               (array_agg(is_deleted ORDER BY id DESC))[1] AS is_deleted
        FROM ranked GROUP BY row_key
    )
    SELECT changed.first_id || ',' || changed.last_id, changed.first_previous, changed.last_writer, {id}::text,
           CASE WHEN changed.is_aged THEN 'aged'
                WHEN stored.xmin::text = changed.last_writer THEN 'changed'
                WHEN stored.xmin::text = changed.last_previous THEN 'left alone'
                WHEN stored.xmin IS NOT NULL THEN 'others'
                WHEN changed.is_deleted THEN 'deleted' ELSE 'gone' END
    FROM changed LEFT JOIN {table} AS stored ON {same}
    ORDER BY changed.first_id DESC
""")

_GIVEN: Final = sql.SQL("""
    FROM unnest(%b::text[]) AS given (id)
    JOIN bulkport.import_old_rows old ON old.id = split_part(given.id, ',', 1)::bigint
""")

# Old rows that an earlier import recorded of a row which is now again as that import left it.
_MARK_EARLIER: Final = (
    sql.SQL("UPDATE bulkport.import_old_rows o SET written_in = pg_current_xact_id()::text::bigint")
    + _GIVEN
    + sql.SQL(
        "WHERE o.relation = old.relation AND o.row_key = old.row_key AND o.job_id <> old.job_id "
        "AND o.xmin::text = old.previous"
    )
)

# A row that an earlier import created: its undo finds it by this.
_MARK_CREATED: Final = (
    sql.SQL("""
    WITH creators AS MATERIALIZED (
        SELECT job_id, xmin::text AS writer FROM bulkport.import_writes
        UNION
        SELECT c.job_id, c.xmin::text FROM bulkport.import_chunks c
        WHERE NOT EXISTS (SELECT FROM bulkport.import_writes w WHERE w.job_id = c.job_id)
    )
    INSERT INTO bulkport.import_old_rows (job_id, relation, is_deleted, previous, row_key, old_values)
    SELECT creators.job_id, old.relation, false, old.previous, old.row_key, '{}'
    """)
    + _GIVEN
    + sql.SQL("JOIN creators ON creators.writer = old.previous AND creators.job_id <> old.job_id")
)

_KEPT_COLUMNS: Final = """
    SELECT jsonb_object_keys(old_values) FROM bulkport.import_old_rows WHERE id = split_part(%s, ',', 1)::bigint
"""

DELETE_OLD_ROWS: Final = "DELETE FROM bulkport.import_old_rows WHERE job_id = %s"


@dataclass(slots=True)
class Plan:
    """What an undo has to do about the rows that an import changed or deleted."""

    changed: list[str] = field(default_factory=list)
    """Rows to restore: the old row to restore and the last one recorded, separated by a comma."""
    deleted: list[str] = field(default_factory=list)
    """Rows to insert again."""
    created: list[str] = field(default_factory=list)
    """Ids of rows that the import itself had created, to be removed."""
    writers: list[str] = field(default_factory=list)
    """Numbers of the transactions that changed these last."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Why others do not come back."""
    is_empty: bool = True
    """Whether no old row was recorded."""


async def plan_restore(
    connection: AsyncConnection[Any], table: TargetTable, job_id: ImportId, created_by: Sequence[str]
) -> Plan:
    """Find out which rows come back.

    Parameters
    ----------
    created_by:
        Numbers of the transactions in which the import created rows.
    """
    plan = Plan()
    if table.facts.kind not in ("r", "p") or not table.facts.primary_key:
        return plan
    statement = _PLAN.format(
        relation=sql.Literal(table.identifier.as_string(None)),
        id=id_column(table),
        table=table.identifier,
        same=_same_key(table, "changed"),
    )
    own = set(created_by)
    async with connection.cursor() as cursor:
        await cursor.execute(escaped(statement, connection), {"job_id": job_id})
        for entry, previous, writer, id_, state in await cursor.fetchall():
            plan.is_empty = False
            match state:
                case "changed" if previous in own:
                    plan.created.append(id_)
                    plan.writers.append(writer)
                case "changed":
                    plan.changed.append(entry)
                case "deleted":
                    plan.deleted.append(entry)
                case "left alone":
                    pass
                case _:
                    plan.reasons[{"aged": _AGED, "gone": GONE}.get(state, CHANGED)] += 1
    return plan


async def give_old_values(connection: AsyncConnection[Any], table: TargetTable, entries: Sequence[str]) -> int:
    """Give stored rows their old values (`Plan.changed`). Returns how many."""
    columns = [name for name in saved_columns(table.facts) if not _is_fixed(table, name)]
    statement = sql.SQL("UPDATE {} AS stored SET {}").format(
        table.identifier,
        sql.SQL(", ").join(
            # A column that the table has got since keeps its value.
            sql.SQL("{} = CASE WHEN old.old_values ? {} THEN {} ELSE {} END").format(
                sql.Identifier(name), sql.Literal(name), _value(table, name), sql.Identifier("stored", name)
            )
            for name in columns
        ),
    )
    statement += _GIVEN
    statement += sql.SQL(
        "JOIN bulkport.import_old_rows last ON last.id = split_part(given.id, ',', 2)::bigint "
        "WHERE {} AND stored.xmin = last.xmin"
    ).format(_same_key(table, "old"))
    restored = (await connection.execute(escaped(statement, connection), (list(entries),))).rowcount if columns else 0
    await _mark_again(connection, entries)
    return restored


async def insert_again(connection: AsyncConnection[Any], table: TargetTable, entries: Sequence[str]) -> int:
    """Insert rows again that the import deleted (`Plan.deleted`). Returns how many."""
    cursor = await connection.execute(_KEPT_COLUMNS, (entries[0],))
    saved = {name for (name,) in await cursor.fetchall()}
    columns = [name for name in saved_columns(table.facts) if name in saved]
    statement = sql.SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {}").format(
        table.identifier,
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        sql.SQL(", ").join(_value(table, name) for name in columns),
    )
    statement += _GIVEN
    inserted = (await connection.execute(escaped(statement, connection), (list(entries),))).rowcount
    await _mark_again(connection, entries)
    return inserted


async def bring_back(
    connection: AsyncConnection[Any], table: TargetTable, entries: Sequence[str], write: Restore
) -> tuple[int, dict[str, str]]:
    """Bring rows back, and go around those that the database refuses.

    Returns
    -------
    How many came back, and the database's reason for each one that it refused.
    """
    if not entries:
        return 0, {}
    try:
        async with connection.transaction():
            return await write(connection, table, entries), {}
    except psycopg.Error as error:
        if not is_row_refusal(error, table):
            raise
        if len(entries) == 1:
            found = refusal(table, 0, Fault.of(error), [None] * len(table.names))
            return 0, {entries[0]: found.message}
    middle = len(entries) // 2
    restored, refused = await bring_back(connection, table, entries[:middle], write)
    others, also_refused = await bring_back(connection, table, entries[middle:], write)
    return restored + others, refused | also_refused


async def _mark_again(connection: AsyncConnection[Any], entries: Sequence[str]) -> None:
    for statement in (_MARK_EARLIER, _MARK_CREATED):
        await connection.execute(escaped(statement, connection), (list(entries),))


def _value(table: TargetTable, name: str) -> sql.Composed:
    # Without length and precision, which the assignment applies.
    return sql.SQL("(old.old_values ->> {})::{}").format(
        sql.Literal(name),
        sql.SQL(table.facts.columns[name].type),  # named by the catalogue
    )


def _is_fixed(table: TargetTable, name: str) -> bool:
    return name in table.facts.primary_key or table.facts.columns[name].identity == "a"


def _same_key(table: TargetTable, alias: str) -> sql.Composed:
    return sql.SQL(" AND ").join(
        sql.SQL("{} = ({}[{}])::{}").format(
            sql.Identifier("stored", name),
            sql.Identifier(alias, "row_key"),
            sql.Literal(number),
            sql.SQL(table.facts.columns[name].type),
        )
        for number, name in enumerate(table.facts.primary_key, start=1)
    )
