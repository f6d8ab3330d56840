"""Writing under SKIP and UPDATE where a unique index is behind the key: `INSERT … ON CONFLICT`.

Of several rows with one key, SKIP keeps the first and UPDATE the last. Rows go in by key, so that two chunks lock their
common keys in the same order. A stored row that has all that a row gives is left alone: it is unchanged.
"""

from typing import Any, Final

from psycopg import AsyncConnection, sql

from bulkport.imports.write_options import WriteMode
from bulkport.imports.writing.outcomes import Tally
from bulkport.imports.writing.placeholders import DeclaredSql, escaped
from bulkport.imports.writing.rows import WritableRows
from bulkport.imports.writing.statements import PLACE, given_rows, own_row, typed_columns
from bulkport.imports.writing.table import TargetTable

# Runs of rows that give the same columns; if there are more in a chunk, rows are sorted by what they give first.
_MOST_RUNS: Final = 32
# Types without an equality of their own are compared as text.
_INCOMPARABLE: Final = frozenset({"json", "xml"})


async def merge_rows(connection: AsyncConnection[Any], table: TargetTable, rows: WritableRows) -> Tally:
    """Insert rows with new keys, and update rows whose other columns differ."""
    tally = Tally()
    for part in _parts(table, rows):
        statement = _merge_statement(table, part)
        if not (_updates(table) and _may_drop(table)):
            tally.add(_counted(table, part.size, *await _merged(connection, statement, part)))
            continue
        # Rows without a returned outcome were dropped by a trigger or change nothing.
        try:
            async with connection.transaction():
                chosen, returned, new = await _merged(connection, statement, part)
                if returned < chosen:
                    raise _SomeNotReturnedError
        except _SomeNotReturnedError:
            dropped = await _count_dropped(connection, table, part)
            chosen, returned, new = await _merged(connection, statement, part)
            counted = _counted(table, part.size, chosen - dropped, returned, new)
            counted.updated -= dropped  # those that are gone from `chosen` were not overtaken
            counted.dropped = dropped
            tally.add(counted)
        else:
            tally.add(_counted(table, part.size, chosen, returned, new))
    return tally


async def _merged(connection: AsyncConnection[Any], statement: sql.Composed, part: WritableRows) -> tuple[int, ...]:
    row = await (await connection.execute(escaped(statement, connection), part.arrays)).fetchone()
    assert row is not None
    return tuple(row)


async def _count_dropped(connection: AsyncConnection[Any], table: TargetTable, part: WritableRows) -> int:
    """The number of rows that triggers drop: they return nothing even if every stored row is changed."""
    chosen = returned = 0
    async with connection.transaction(force_rollback=True):
        chosen, returned, _ = await _merged(connection, _merge_statement(table, part, always=True), part)
    return chosen - returned


class _SomeNotReturnedError(Exception):
    """Rows were left alone, or left out."""


def _merge_statement(table: TargetTable, part: WritableRows, *, always: bool = False) -> sql.Composed:
    """Merge the rows, and count them: those left of each key, the returned ones, and the new ones.

    Parameters
    ----------
    always:
        Whether stored rows are changed even if they have all that a row gives.
    """
    return sql.SQL("""
        WITH chosen AS MATERIALIZED (
            SELECT DISTINCT ON ({order_key}) {columns}, {place}
            FROM (SELECT {typed}, {place} FROM {given}) AS typed ({columns}, {place})
            ORDER BY {order_key}, {place} {direction}
        ), merged AS (
            INSERT INTO {table} AS stored ({columns}) {overriding}
            SELECT {columns} FROM chosen ORDER BY {order} {conflict}
            RETURNING {is_new} AS is_new
        )
        SELECT (SELECT count(*) FROM chosen), count(*), count(*) FILTER (WHERE is_new) FROM merged
    """).format(
        table=table.identifier,
        columns=table.columns,
        typed=typed_columns(table, _filled(table, part)),
        given=given_rows(table, with_ordinality=True),
        place=PLACE,
        order_key=_order_key(table),
        order=_insertion_order(table),
        direction=sql.SQL("DESC" if _updates(table) else "ASC"),
        conflict=_on_conflict(table, part, always=always),
        is_new=_is_new(table),
        overriding=table.overriding,
    )


def merge_each_statement(table: TargetTable, rows: WritableRows) -> tuple[sql.Composable, str]:
    """The statement that writes one row, and the outcome if it returns nothing."""
    statement = sql.SQL(
        "INSERT INTO {} AS stored ({}) SELECT {} {} RETURNING CASE WHEN {} THEN 'created' ELSE 'updated' END, NULL"
    ).format(
        table.identifier, table.columns, own_row(table, _filled(table, rows)), _on_conflict(table, rows), _is_new(table)
    )
    if _updates(table) and _may_drop(table):
        statement = sql.SQL(
            "WITH merged (outcome, id) AS ({}) SELECT * FROM merged UNION ALL "
            "SELECT CASE WHEN EXISTS (SELECT FROM {} AS stored, (SELECT {}) AS given ({}) WHERE {}) "
            "THEN 'unchanged' ELSE 'dropped' END, NULL WHERE NOT EXISTS (SELECT FROM merged)"
        ).format(statement, table.identifier, own_row(table), table.columns, _same_key(table, "stored", "given"))
    return statement, "unchanged" if _updates(table) else "skipped"


def compared(table: TargetTable, column: str, one: sql.Composable, other: sql.Composable) -> sql.Composed:
    """Whether two values of a column differ."""
    known = table.facts.columns[column]
    if known.type.removesuffix("[]") in _INCOMPARABLE or known.category == "G":
        return sql.SQL("{}::text IS DISTINCT FROM {}::text").format(one, other)
    return sql.SQL("{} IS DISTINCT FROM {}").format(one, other)


def changeable(table: TargetTable, rows: WritableRows) -> list[str]:
    """The columns that rows which all give the same change in a stored row."""
    resource = table.resource
    given = rows.alike
    columns = zip(resource.column_names, resource.field_names, strict=True)
    chosen = [column for column, field in columns if given is None or field in given]
    return [column for column in [*chosen, *resource.context] if column not in resource.write_key]


def _filled(table: TargetTable, rows: WritableRows) -> list[str]:
    """The columns that new rows have from the database: a stored row is given no default for a null that was sent."""
    if not _updates(table):
        return [*table.filled]
    given = rows.alike
    columns = zip(table.resource.column_names, table.resource.field_names, strict=True)
    return [column for column, field in columns if column in table.filled and given is not None and field not in given]


def _may_drop(table: TargetTable) -> bool:
    """Whether triggers may leave rows out."""
    return table.facts.has_before_triggers or table.facts.has_update_triggers


def _insertion_order(table: TargetTable) -> sql.Composable:
    """By key; but keys that a trigger changes may become equal, and then the first row is to stay."""
    if not _updates(table) and table.facts.has_before_triggers:
        return PLACE
    return sql.SQL(", ").join(_key_parts(table))


def _updates(table: TargetTable) -> bool:
    return table.resource.default_mode is WriteMode.UPSERT


def _on_conflict(table: TargetTable, rows: WritableRows, *, always: bool = False) -> sql.Composed:
    resource = table.resource
    target = sql.SQL("ON CONFLICT ({}){}").format(
        sql.SQL(", ").join(table.key_part(part) for part in resource.write_key),
        sql.SQL(" WHERE {}").format(DeclaredSql(resource.conflict_where)) if resource.conflict_where else sql.SQL(""),
    )
    columns = changeable(table, rows)
    if not _updates(table) or not columns:
        return target + sql.SQL(" DO NOTHING")
    return target + sql.SQL(" DO UPDATE SET {} WHERE {}").format(
        sql.SQL(", ").join(sql.SQL("{0} = EXCLUDED.{0}").format(sql.Identifier(column)) for column in columns),
        sql.SQL("true")
        if always
        else sql.SQL(" OR ").join(
            compared(
                table,
                column,
                sql.Identifier("stored", column),
                sql.SQL("EXCLUDED.{}").format(sql.Identifier(column)),
            )
            for column in columns
        ),
    )


def _order_key(table: TargetTable) -> sql.Composed:
    """What two rows have in common that are the same row in the table; a key with a null in it is no other row's."""
    resource, parts = table.resource, _key_parts(table)
    index = table.unique_index_of(resource.write_key, resource.conflict_where)
    if index is not None and index.nulls_not_distinct:
        return sql.SQL(", ").join(parts)
    apart = sql.SQL("num_nulls({}) > 0").format(sql.SQL(", ").join(parts))
    if index is not None and index.predicate and resource.conflict_where and set(index.used) <= set(table.names):
        # Rows that the index does not cover conflict with none.
        apart += sql.SQL(" OR ({}) IS NOT TRUE").format(DeclaredSql(resource.conflict_where))
    alone = sql.SQL("CASE WHEN {} THEN {} END").format(apart, PLACE)
    return sql.SQL(", ").join([*parts, alone])


def _key_parts(table: TargetTable) -> list[sql.Composable]:
    return [
        sql.SQL("{}::{}").format(table.key_part(part), table.rounded(part))
        if part in table.facts.columns
        else table.key_part(part)
        for part in table.resource.write_key
    ]


def _is_new(table: TargetTable) -> sql.Composable:
    """Whether a returned row was inserted: an updated one has the number of the transaction that locked it.

    Partitioned tables and views do not say it: there a new row is one whose key was not stored before the statement.
    """
    if table.facts.kind not in ("v", "p"):
        return sql.SQL("stored.xmax = 0")
    return sql.SQL("NOT EXISTS (SELECT FROM {} AS older WHERE {})").format(
        table.identifier, _same_key(table, "older", "stored")
    )


def _same_key(table: TargetTable, one: str, other: str) -> sql.Composed:
    index = table.unique_index_of(table.resource.write_key, table.resource.conflict_where)
    equal = sql.SQL("IS NOT DISTINCT FROM" if index is not None and index.nulls_not_distinct else "=")
    return sql.SQL(" AND ").join(
        sql.SQL("{} {} {}").format(table.key_part(part, one), equal, table.key_part(part, other))
        for part in table.resource.write_key
    )


def _counted(table: TargetTable, size: int, chosen: int, returned: int, new: int) -> Tally:
    if _updates(table):
        # Earlier rows of a key that occurs again were overtaken by its last one.
        return Tally(created=new, updated=returned - new + size - chosen, unchanged=chosen - returned)
    return Tally(created=returned, skipped=size - returned)


def _parts(table: TargetTable, rows: WritableRows) -> list[WritableRows]:
    """Group rows with the same columns, keeping the last row of a key last."""
    if not _updates(table) or rows.given is None or len(set(rows.given)) <= 1:
        return [rows]
    runs = [part for _, part in rows.groups()]
    if len(runs) <= _MOST_RUNS:
        return runs
    positions = [table.names.index(part) for part in table.resource.write_key if part in table.names]
    keys = list(zip(*(rows.columns[i] for i in positions), strict=True)) if positions else []
    found: dict[Any, set[frozenset[str]]] = {}
    for key, given in zip(keys, rows.given, strict=False):
        found.setdefault(key, set()).add(given)
    shared = {key for key, patterns in found.items() if len(patterns) > 1}
    by_pattern: dict[frozenset[str], list[int]] = {}
    for position, given in enumerate(rows.given):
        if not keys or keys[position] not in shared:
            by_pattern.setdefault(given, []).append(position)
    rest = rows.take([position for position in range(rows.size) if keys and keys[position] in shared])
    return [rows.take(chosen) for chosen in by_pattern.values()] + [part for _, part in rest.groups() if part.size]
