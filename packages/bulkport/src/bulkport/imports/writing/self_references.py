"""Rows that refer to other rows of their own table, and so to rows of the same file.

PostgreSQL checks a foreign key at the end of a statement, so rows of one statement may refer to each other in any
order. What remains is to separate rows whose parent is nowhere from those whose parent comes with them, and to put
parents first where rows are written one by one.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg import AsyncConnection, sql

from bulkport.imports.resource import Reference, Resource
from bulkport.imports.validation.batch import Batch
from bulkport.imports.validation.lookups import NamedRow
from bulkport.imports.writing.cycles import units_of
from bulkport.imports.writing.placeholders import escaped
from bulkport.imports.writing.references import conditions
from bulkport.imports.writing.refusal_messages import not_existing
from bulkport.imports.writing.rows import Refusal, WritableRows
from bulkport.imports.writing.table import TargetTable, table_identifier
from bulkport.imports.writing.table_facts import SelfReference


@dataclass(frozen=True, slots=True)
class SelfLink:
    """Columns that refer to other columns of the same table, as positions in `TargetTable.names`."""

    columns: tuple[int, ...]
    referenced: tuple[int, ...]
    reference: Reference | None = None
    """Its declared type, if any."""


@dataclass(slots=True)
class Family:
    """How rows refer to each other."""

    order: list[int]
    """Positions of rows whose parents are stored or among the rows, parents first."""
    orphans: dict[int, SelfLink] = field(default_factory=dict)
    """Positions of the other rows with their missing parent. Descendants of an orphan are orphans too."""
    parents: list[list[int]] = field(default_factory=list)
    """For each row the rows that it refers to."""
    has_circles: bool = False

    def units(self) -> list[list[int]]:
        """The rows of `order`, in units that are written together (`circles`)."""
        return units_of(self.parents, self.orphans)


def refers_to_itself(resource: Resource, reference: Reference) -> bool:
    """Whether a declared reference points into the resource's own table."""
    return table_identifier(reference.table) == table_identifier(resource.table)


def self_links(table: TargetTable) -> list[SelfLink]:
    """What of the written columns refers to written columns: foreign keys, and declared references."""
    positions = {name: position for position, name in enumerate(table.names)}
    found: dict[tuple[tuple[str, ...], tuple[str, ...]], Reference | None] = {
        _written_part(key, positions): None for key in table.facts.self_references
    }
    columns = dict(zip(table.resource.field_names, table.resource.column_names, strict=True))
    found |= {
        ((columns[reference.field],), (reference.column,)): reference
        for reference in table.resource.references
        if refers_to_itself(table.resource, reference)
    }
    return [
        SelfLink(tuple(positions[name] for name in own), tuple(positions[name] for name in other), reference)
        for (own, other), reference in found.items()
        if own and all(name in positions for name in (*own, *other))
    ]


def _written_part(key: SelfReference, written: Collection[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A foreign key without a column that refers to itself, such as a tenant's, and has its default in every row."""
    pairs = [
        (own, other) for own, other in zip(key.columns, key.referenced, strict=True) if own in written or own != other
    ]
    return tuple(own for own, _ in pairs), tuple(other for _, other in pairs)


async def find_family(
    connection: AsyncConnection[Any], table: TargetTable, rows: WritableRows, links: Sequence[SelfLink]
) -> Family:
    """Parents among the rows, compared with the database's equality of each type."""
    parents: list[list[tuple[int, SelfLink]]] = [[] for _ in range(rows.size)]
    orphans: dict[int, SelfLink] = {}
    for link in links:
        context = {name: rows.columns[table.names.index(name)][0] for name in table.resource.context}
        condition, values = conditions(link.reference, context) if link.reference else (sql.Composed([]), [])
        parameters = [*(rows.columns[i] for i in (*link.columns, *link.referenced)), *values]
        cursor = await connection.execute(escaped(_statement(table, link, condition), connection), parameters)
        for child, parent, is_stored in await cursor.fetchall():
            if is_stored or parent == child:
                continue
            if parent is None:
                orphans.setdefault(child, link)
            else:
                parents[child].append((parent, link))
    children: list[list[tuple[int, SelfLink]]] = [[] for _ in range(rows.size)]
    for child, found in enumerate(parents):
        for parent, link in found:
            children[parent].append((child, link))
    spread = list(orphans)
    while spread:
        for child, link in children[spread.pop()]:
            if child not in orphans:
                orphans[child] = link
                spread.append(child)
    order = _parents_first(rows.size, parents, children, orphans)
    # Rows of a circle, and those below them, can only be written together.
    circles = sorted(set(range(rows.size)) - set(order) - orphans.keys())
    return Family([*order, *circles], orphans, [[parent for parent, _ in each] for each in parents], bool(circles))


def by_themselves(rows: WritableRows, links: Sequence[SelfLink]) -> WritableRows:
    """The rows, each referring to itself, to find other errors in them."""
    columns = list(rows.columns)
    for link in links:
        for own, other in zip(link.columns, link.referenced, strict=True):
            columns[own] = rows.columns[other]
    return WritableRows(columns, rows.size, rows.given)


def orphan_refusal(table: TargetTable, position: int, link: SelfLink, rows: WritableRows) -> Refusal:
    """The rejection of a row whose parent is neither stored nor among the rows, unless it comes later."""
    fields = dict(zip(table.resource.column_names, table.resource.field_names, strict=True))
    found = [fields[table.names[i]] for i in link.columns if table.names[i] in fields]
    for reference in table.resource.references:
        if found == [reference.field] and refers_to_itself(table.resource, reference):
            value = rows.columns[link.columns[0]][position]
            return Refusal(position, reference.field, f"{reference.label} {value} does not exist", waits=True)
    wires = " and ".join(table.resource.wire_names[name] for name in found) or "the row"
    values = [rows.columns[i][position] or "null" for i in link.columns]
    return Refusal(position, found[0] if found else "", not_existing(wires, values), waits=True)


def own_names(resource: Resource, reference: Reference, batch: Batch) -> list[Any] | None:
    """What the rows of a chunk are called where others refer to them by name; None if they have no such name."""
    fields = dict(zip(resource.column_names, resource.field_names, strict=True))
    name_field = fields.get(reference.lookup_column or "")
    if name_field is None or reference.column in fields:
        return None
    wire = resource.wire_names[name_field]
    names = list(batch.columns[name_field])
    for position, row in batch.waiting.items():
        names[position] = _name_of(row, name_field, wire)
    return names


async def choose_ids(
    connection: AsyncConnection[Any], table: TargetTable, reference: Reference, count: int
) -> list[Any] | None:
    """Ids for rows that are not written yet, from the id's default; None if it has none."""
    default = table.default_of(reference.column) if reference.column in table.facts.columns else None
    if default is None:
        return None
    statement = sql.SQL("SELECT {} FROM generate_series(1, %s)").format(default)
    return [row[0] for row in await (await connection.execute(escaped(statement, connection), (count,))).fetchall()]


@dataclass(slots=True)
class ChosenIds:
    """Ids of rows of several chunks that refer to each other, chosen before any of them is written."""

    by_row: dict[int, Any] = field(default_factory=dict)
    """By number of the row."""
    by_name: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By field of the reference, then by the name that it looks for."""


def _name_of(row: NamedRow, name_field: str, wire: str) -> Any:
    return row.members.get(wire, row.members.get(name_field))


def _statement(table: TargetTable, link: SelfLink, condition: sql.Composable) -> sql.Composed:
    own = [sql.Identifier(f"own_{i}") for i in range(len(link.columns))]
    key = [sql.Identifier(f"key_{i}") for i in range(len(link.columns))]
    types = [sql.SQL(table.column_types[i]) for i in link.referenced]  # named by the catalogue
    stored = [sql.Identifier("other", table.names[i]) for i in link.referenced]

    def typed(names: Sequence[sql.Identifier]) -> sql.Composed:
        return sql.SQL(", ").join(sql.SQL("{0}::{1} AS {0}").format(n, t) for n, t in zip(names, types, strict=True))

    def same(left: Sequence[sql.Composable], right: Sequence[sql.Composable]) -> sql.Composed:
        return sql.SQL(" AND ").join(sql.SQL("{} = {}").format(a, b) for a, b in zip(left, right, strict=True))

    bare = sql.SQL(", ")
    child = [sql.SQL("child.{}").format(name) for name in own]
    parent = [sql.SQL("parent.{}").format(name) for name in key]
    return sql.SQL("""
        WITH given AS MATERIALIZED (
            SELECT {typed_own}, {typed_key}, ordinality::integer - 1 AS position
            FROM unnest({arrays}) WITH ORDINALITY AS texts ({own}, {key}, ordinality)
        ), parents AS MATERIALIZED (
            SELECT {key}, min(position) AS position FROM given GROUP BY {key}
        )
        SELECT child.position, parent.position, EXISTS (SELECT FROM {table} AS other WHERE {is_stored}{condition})
        FROM given AS child LEFT JOIN parents AS parent ON {is_parent}
        WHERE num_nulls({child}) = 0
    """).format(
        typed_own=typed(own),
        typed_key=typed(key),
        arrays=sql.SQL(", ").join([sql.SQL("%b::text[]")] * (len(own) + len(key))),
        own=bare.join(own),
        key=bare.join(key),
        table=table.identifier,
        is_stored=same(stored, child),
        condition=condition,
        is_parent=same(parent, child),
        child=bare.join(child),
    )


def _parents_first(
    size: int,
    parents: Sequence[Sequence[tuple[int, SelfLink]]],
    children: Sequence[Sequence[tuple[int, SelfLink]]],
    orphans: Mapping[int, SelfLink],
) -> list[int]:
    waits_for = [len(found) for found in parents]
    order = [i for i in range(size) if not waits_for[i] and i not in orphans]
    for position in order:  # which grows
        for child, _ in children[position]:
            waits_for[child] -= 1
            if not waits_for[child] and child not in orphans:
                order.append(child)
    return order
