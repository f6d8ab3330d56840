"""Writing by a key: stored rows are found and locked first, then created, changed, left alone or deleted.

This is the way of the modes UPDATE and DELETE, of keys that no unique index is behind, and of imports that tell the
outcome of each row. Where nothing keeps a key unique, rows are looked for under advisory locks by key, so that two
imports at once cannot create a pair.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from psycopg import AsyncConnection, sql

from bulkport.imports.write_options import WriteMode
from bulkport.imports.writing.merge import changeable, compared
from bulkport.imports.writing.placeholders import escaped
from bulkport.imports.writing.rows import WritableRows
from bulkport.imports.writing.statements import PLACE, given_rows, typed_columns
from bulkport.imports.writing.table import TargetTable

# Locks are taken by buckets of keys: a lock for each key of a large chunk would not fit into PostgreSQL's lock table.
_LOCK_BUCKETS: Final = 64
_ID: Final = "id of the stored row"
_LOCK_SPACE: Final = 1_651_862_891


@dataclass(slots=True)
class Match:
    """What rows mean for the table."""

    absent: list[int] = field(default_factory=list)
    """Positions of rows whose key is not stored."""
    same: dict[int, str] = field(default_factory=dict)
    """Id by position of rows that change nothing."""
    other: dict[int, str] = field(default_factory=dict)
    """Id by position of rows whose key is stored, with other values."""
    superseded: dict[int, int] = field(default_factory=dict)
    """Position of the winning row, by position of rows with the same key in the chunk."""


async def match_rows(connection: AsyncConnection[Any], table: TargetTable, rows: WritableRows) -> Match:
    """Find the stored rows of the rows' keys, and lock them in order of their ids."""
    if table.unique_index_of(table.resource.write_key, table.resource.conflict_where) is None:
        await connection.execute(escaped(_lock_statement(table), connection), rows.arrays)
    match = Match()
    # The last row of a key wins if rows change stored ones, else the first.
    winners = await (await connection.execute(escaped(_winner_statement(table), connection), rows.arrays)).fetchall()
    match.superseded = {place: winner for place, winner in winners if place != winner}
    chosen = [place for place in range(rows.size) if place not in match.superseded]
    found: dict[int, tuple[str, bool]] = {}
    for indexes, part in rows.take(chosen).groups():
        cursor = await connection.execute(escaped(_match_statement(table, part), connection), part.arrays)
        for index, id_, differs in await cursor.fetchall():
            found.setdefault(chosen[indexes[index]], (id_, differs))  # of several the one with the lowest id
    for place in chosen:
        if place not in found:
            match.absent.append(place)
        else:
            id_, differs = found[place]
            (match.other if differs else match.same)[place] = id_
    return match


def id_column(table: TargetTable) -> sql.Composable:
    """What identifies a stored row: its primary key of one column, else its place."""
    key = table.facts.primary_key
    if table.facts.kind == "v":  # which has neither
        return sql.Identifier("stored", table.resource.write_key[0])
    if len(key) == 1:
        return sql.Identifier("stored", key[0])
    if len(table.facts.relations) > 1:  # places are those of a partition
        return sql.SQL("(stored.tableoid::text || stored.ctid::text)")
    return sql.SQL("stored.ctid")


def id_type(table: TargetTable) -> sql.SQL:
    """The type of `id_column`."""
    key = table.resource.write_key if table.facts.kind == "v" else table.facts.primary_key
    if len(key) == 1 or table.facts.kind == "v":
        return sql.SQL(table.facts.columns[key[0]].type)
    return sql.SQL("text" if len(table.facts.relations) > 1 else "tid")


def update_statement(table: TargetTable, rows: WritableRows) -> sql.Composed:
    """Update stored rows by id (the last parameter) with the values of the rows."""
    columns = changeable(table, rows)
    return sql.SQL("UPDATE {} AS stored SET {} FROM {} WHERE {} = given.{}::{}").format(
        table.identifier,
        sql.SQL(", ").join(
            sql.SQL("{0} = given.{0}::{1}").format(sql.Identifier(name), sql.SQL(table.facts.columns[name].type))
            for name in columns
        ),
        _given_with_ids(table),
        id_column(table),
        sql.Identifier(_ID),
        id_type(table),
    )


def update_each_statement(table: TargetTable, rows: WritableRows) -> tuple[sql.Composable, str]:
    """The statement that changes one stored row."""
    numbers = {name: number for number, name in enumerate(table.names, start=1)}
    assignments = sql.SQL(", ").join(
        sql.SQL("{} = {}::{}").format(
            sql.Identifier(name), sql.SQL(f"$1[{numbers[name]}]"), sql.SQL(table.facts.columns[name].type)
        )
        for name in changeable(table, rows)
    )
    own = sql.SQL(f"$1[{len(table.names) + 1}]")
    statement = sql.SQL("UPDATE {} AS stored SET {} WHERE {} = {}::{}").format(
        table.identifier, assignments, id_column(table), own, id_type(table)
    )
    return _returning(table, statement, "updated", is_replaced="UPDATE" in table.facts.replaced)


_MOST_SHOWN: Final = 1000
_SHOWN: Final = f"""
    CASE WHEN {{value}} IS NOT DISTINCT FROM {{other}} THEN NULL
         WHEN length({{value}}) > {_MOST_SHOWN} THEN left({{value}}, {_MOST_SHOWN}) || '…' ELSE {{value}} END
"""


def difference_statement(table: TargetTable, columns: Sequence[str]) -> sql.Composed:
    """Id, stored and given values of rows whose stored rows' ids are the last parameter, as PostgreSQL writes both.

    Values that are equal are null in both. Of long ones the first characters are shown: an import is read with all of
    them, again and again.
    """
    pairs = [
        (
            sql.SQL("{}::text").format(sql.Identifier("stored", name)),
            sql.SQL("given.{}::{}::text").format(sql.Identifier(name), table.rounded(name)),
        )
        for name in columns
    ]
    old = [sql.SQL(_SHOWN).format(value=old, other=new) for old, new in pairs]
    new = [sql.SQL(_SHOWN).format(value=new, other=old) for old, new in pairs]
    return sql.SQL(
        "SELECT {}::text, ARRAY[{}]::text[], ARRAY[{}]::text[] FROM {} AS stored JOIN {} ON {} = given.{}::{}"
    ).format(
        id_column(table),
        sql.SQL(", ").join(old),
        sql.SQL(", ").join(new),
        table.identifier,
        _given_with_ids(table),
        id_column(table),
        sql.Identifier(_ID),
        id_type(table),
    )


def delete_statement(table: TargetTable) -> sql.Composed:
    """Delete stored rows by their ids (the last parameter)."""
    return sql.SQL("DELETE FROM {} AS stored USING {} WHERE {} = given.{}::{}").format(
        table.identifier, _given_with_ids(table), id_column(table), sql.Identifier(_ID), id_type(table)
    )


def delete_each_statement(table: TargetTable, _: WritableRows) -> tuple[sql.Composable, str]:
    """The statement that deletes one stored row."""
    own = sql.SQL(f"$1[{len(table.names) + 1}]")
    statement = sql.SQL("DELETE FROM {} AS stored WHERE {} = {}::{}").format(
        table.identifier, id_column(table), own, id_type(table)
    )
    return _returning(table, statement, "deleted", is_replaced="DELETE" in table.facts.replaced)


def _returning(
    table: TargetTable, statement: sql.Composed, outcome: str, *, is_replaced: bool
) -> tuple[sql.Composable, str]:
    """The statement that returns the outcome of its row, and the outcome if it returns nothing."""
    if table.facts.has_rules:  # under which it returns nothing
        return statement, outcome if is_replaced else "dropped"
    returning = sql.SQL("{} RETURNING {}, {}::text").format(statement, sql.Literal(outcome), id_column(table))
    return returning, "dropped"


def with_ids(rows: WritableRows, ids: Sequence[str]) -> WritableRows:
    """Rows with the ids of their stored rows as a last column."""
    return WritableRows([*rows.columns, list(ids)], rows.size, rows.given)


def _given_with_ids(table: TargetTable) -> sql.Composed:
    names = [sql.Identifier(name) for name in (*table.names, _ID)]
    return sql.SQL("unnest({}) AS given ({})").format(
        sql.SQL(", ").join([sql.SQL("%b::text[]")] * len(names)), sql.SQL(", ").join(names)
    )


def _typed(table: TargetTable) -> sql.Composed:
    return sql.SQL("(SELECT {typed}, {place}::integer - 1 FROM {given}) AS given ({columns}, {place})").format(
        typed=typed_columns(table),
        given=given_rows(table, with_ordinality=True),
        columns=table.columns,
        place=PLACE,
    )


def _scope(table: TargetTable) -> list[str]:
    """Key parts, and the columns of the context: another context's rows are never found."""
    key = table.resource.write_key
    return [*key, *(name for name in table.resource.context if name not in key)]


def _key(table: TargetTable) -> sql.Composed:
    return sql.SQL(", ").join(
        sql.SQL("{}::{}").format(table.key_part(part), table.rounded(part))
        if part in table.facts.columns
        else table.key_part(part)
        for part in _scope(table)
    )


def _winner_statement(table: TargetTable) -> sql.Composed:
    key = _key(table)
    index = table.unique_index_of(table.resource.write_key, table.resource.conflict_where)
    alone = (
        sql.SQL("")
        if index is not None and index.nulls_not_distinct
        else sql.SQL(", CASE WHEN num_nulls({}) > 0 THEN {} END").format(key, PLACE)
    )
    first = table.resource.default_mode in (WriteMode.SKIP, WriteMode.DELETE)
    return sql.SQL(
        "SELECT {place}, first_value({place}) OVER (PARTITION BY {key}{alone} ORDER BY {place} {direction}) "
        "FROM {given} ORDER BY {place}"
    ).format(place=PLACE, key=key, alone=alone, direction=sql.SQL("ASC" if first else "DESC"), given=_typed(table))


def _match_statement(table: TargetTable, rows: WritableRows) -> sql.Composed:
    index = table.unique_index_of(table.resource.write_key, table.resource.conflict_where)
    equal = sql.SQL("IS NOT DISTINCT FROM" if index is not None and index.nulls_not_distinct else "=")
    same = sql.SQL(" AND ").join(
        sql.SQL("{} {} {}").format(table.key_part(part, "stored"), equal, table.key_part(part, "given"))
        for part in _scope(table)
    )
    differs = sql.SQL(" OR ").join(
        compared(table, name, sql.Identifier("stored", name), sql.Identifier("given", name))
        for name in changeable(table, rows)
    )
    return sql.SQL(
        "SELECT given.{place}, {id}::text, {differs} FROM {table} AS stored JOIN {given} ON {same} "
        "ORDER BY {id} FOR UPDATE OF stored"
    ).format(
        id=id_column(table),
        differs=differs if differs.as_string(None) else sql.SQL("false"),
        table=table.identifier,
        given=_typed(table),
        same=same,
        place=PLACE,
    )


def _lock_statement(table: TargetTable) -> sql.Composed:
    """Take the locks of the rows' keys, in order; held until the transaction ends."""
    name = sql.Literal(table.identifier.as_string(None))
    return sql.SQL(
        "SELECT pg_advisory_xact_lock({space} + bucket) FROM (SELECT DISTINCT "
        "abs(hashtext(ROW({name}::text, {key})::text)::bigint) %% {buckets} AS bucket FROM {given} "
        "ORDER BY bucket) AS locks"
    ).format(
        space=sql.Literal(_LOCK_SPACE),
        name=name,
        key=_key(table),
        buckets=sql.Literal(_LOCK_BUCKETS),
        given=_typed(table),
    )
