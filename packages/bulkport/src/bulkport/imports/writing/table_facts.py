"""What the catalogue of PostgreSQL says of one table, partitioned table or view."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from psycopg import AsyncConnection

# Base tables of a view are the tables that its rule reads; partitions and heirs are found by inheritance.
_RELATION: Final = """
    WITH RECURSIVE behind (oid) AS (
        SELECT to_regclass(%(table)s)::oid
        UNION
        SELECT found.oid FROM behind CROSS JOIN LATERAL (
            SELECT inhrelid AS oid FROM pg_inherits WHERE inhparent = behind.oid
            UNION ALL
            SELECT d.refobjid FROM pg_rewrite r
            JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.deptype = 'n'
             AND d.refclassid = 'pg_class'::regclass
            JOIN pg_class v ON v.oid = r.ev_class AND v.relkind = 'v'
            WHERE r.ev_class = behind.oid AND d.refobjid <> r.ev_class
        ) found
    )
    SELECT c.relkind::text, row_security_active(c.oid),
           EXISTS (SELECT FROM pg_rewrite WHERE ev_class = c.oid AND ev_type <> '1'),
           ARRAY(
               SELECT CASE ev_type WHEN '2' THEN 'UPDATE' WHEN '3' THEN 'INSERT' ELSE 'DELETE' END
               FROM pg_rewrite WHERE ev_class = c.oid AND ev_type <> '1' AND is_instead
                  AND ev_qual::text = '<>' AND pg_get_ruledef(oid) NOT LIKE '%% DO INSTEAD NOTHING;'
           ),
           EXISTS (SELECT FROM pg_constraint WHERE conrelid IN (SELECT oid FROM behind) AND condeferred),
           EXISTS (
               SELECT FROM pg_trigger WHERE tgrelid IN (SELECT oid FROM behind) AND NOT tgisinternal
                  AND tgtype & 66 <> 0 AND tgtype & 5 = 5 AND tgenabled <> 'D'
           ),
           EXISTS (
               SELECT FROM pg_trigger WHERE tgrelid IN (SELECT oid FROM behind) AND NOT tgisinternal
                  AND tgtype & 66 <> 0 AND tgtype & 17 = 17 AND tgenabled <> 'D'
           ),
           EXISTS (
               SELECT FROM pg_trigger WHERE tgrelid IN (SELECT oid FROM behind) AND NOT tgisinternal
                  AND tgtype & 4 = 4 AND tgenabled <> 'D'
           ),
           (SELECT array_agg(DISTINCT n.nspname::text || '.' || b.relname)
            FROM behind JOIN pg_class b USING (oid) JOIN pg_namespace n ON n.oid = b.relnamespace),
           (SELECT array_agg(a.attname::text ORDER BY k.position) FROM pg_index i
            CROSS JOIN LATERAL unnest(i.indkey[:i.indnkeyatts - 1]) WITH ORDINALITY AS k (attnum, position)
            JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
            WHERE i.indrelid = c.oid AND i.indisprimary)
    FROM pg_class c WHERE c.oid = to_regclass(%(table)s)
"""

# With -1 a type without length: NULL would give `character` and `bit`, which in SQL mean a length of 1.
_COLUMNS: Final = """
    SELECT a.attname, format_type(a.atttypid, -1), format_type(a.atttypid, a.atttypmod), a.attnotnull,
           a.atthasdef OR t.typdefault IS NOT NULL, a.attidentity::text, a.attgenerated::text, t.typcategory::text,
           CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = to_regclass(%(table)s) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""

_UNIQUE_INDEXES: Final = """
    SELECT c.relname,
           ARRAY(SELECT pg_get_indexdef(i.indexrelid, n, true) FROM generate_series(1, i.indnkeyatts) n ORDER BY n),
           ARRAY(SELECT CASE WHEN k.attnum > 0 THEN a.attname::text END
                 FROM unnest(i.indkey[:i.indnkeyatts - 1]) WITH ORDINALITY AS k (attnum, position)
                 LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum ORDER BY k.position),
           ARRAY(SELECT DISTINCT a.attname::text FROM pg_depend d
                 JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                 WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid AND d.refobjid = i.indrelid
                   AND d.refobjsubid > 0),
           pg_get_expr(i.indpred, i.indrelid), i.indnullsnotdistinct,
           i.indimmediate AND NOT i.indisexclusion
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE i.indrelid = to_regclass(%(table)s) AND i.indisunique ORDER BY i.indexrelid
"""

# Of the table, its partitions and a view's base tables; and of the domains of its columns.
_CHECKS: Final = """
    SELECT k.conname, ARRAY(SELECT a.attname::text FROM pg_attribute a
                            WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)),
           pg_get_constraintdef(k.oid, true)
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE k.contype = 'c' AND n.nspname::text || '.' || c.relname = ANY (%(relations)s)
    UNION ALL
    SELECT k.conname, '{}', pg_get_constraintdef(k.oid, true) FROM pg_constraint k
    WHERE k.contypid IN (
        WITH RECURSIVE domains (oid) AS (
            SELECT atttypid FROM pg_attribute WHERE attrelid = to_regclass(%(table)s) AND attnum > 0
            UNION
            SELECT t.typbasetype FROM domains JOIN pg_type t USING (oid) WHERE t.typbasetype <> 0
        ) SELECT oid FROM domains
    ) AND k.contype = 'c'
"""

_SELF_REFERENCES: Final = """
    SELECT ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS c (attnum, position)
                 JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = c.attnum ORDER BY position),
           ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS c (attnum, position)
                 JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = c.attnum ORDER BY position)
    FROM pg_constraint k
    WHERE k.conrelid = to_regclass(%(table)s) AND k.confrelid = k.conrelid AND k.contype = 'f' ORDER BY k.oid
"""


_MARKS: Final = re.compile(r"( (NO INHERIT|NOT VALID|NOT ENFORCED))+$")
"""Suffixes of the condition of a check constraint."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table."""

    name: str
    type: str
    """Type without length or precision."""
    exact_type: str
    """Type with length or precision."""
    not_null: bool
    has_default: bool
    identity: str
    """`a` for GENERATED ALWAYS AS IDENTITY, `d` for BY DEFAULT, else empty."""
    generated: str
    """`s` or `v` for a generated column, else empty."""
    category: str
    """Category of the type (PostgreSQL manual, pg_type)."""
    default: str | None
    """Expression of its default, if it is not a generated column."""


@dataclass(frozen=True, slots=True)
class UniqueIndex:
    """A unique index, behind a constraint or alone."""

    name: str
    parts: tuple[str, ...]
    """Definition of each key part, such as `sku` or `lower(email)`."""
    columns: tuple[str | None, ...]
    """Column of each key part; None if the part is an expression."""
    used: tuple[str, ...]
    """Every column that the index depends on."""
    predicate: str | None
    nulls_not_distinct: bool
    is_immediate: bool = True
    """Whether it is neither a deferrable constraint nor one WITHOUT OVERLAPS, which ON CONFLICT cannot use."""

    @property
    def plain(self) -> tuple[str, ...] | None:
        """Its columns, if it has no expressions and covers all rows."""
        columns = tuple(column for column in self.columns if column is not None)
        return columns if len(columns) == len(self.columns) and self.predicate is None else None


@dataclass(frozen=True, slots=True)
class CheckConstraint:
    """A condition on rows, or on the values of a domain."""

    columns: tuple[str, ...]
    """Columns that it reads; none of a domain's."""
    condition: str


@dataclass(frozen=True, slots=True)
class SelfReference:
    """A foreign key of the table to itself."""

    columns: tuple[str, ...]
    referenced: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TableFacts:
    """A table as the catalogue describes it."""

    kind: str
    """`r` table, `p` partitioned table, `v` view, `f` foreign table (PostgreSQL manual, pg_class)."""
    row_security: bool
    """Whether row-level security applies to the connection's role."""
    has_rules: bool
    """Whether it has rules for INSERT, UPDATE or DELETE."""
    replaced: frozenset[str]
    """The commands (`INSERT`, `UPDATE`, `DELETE`) that a rule always replaces, without counting rows."""
    has_deferred_constraints: bool
    """Whether PostgreSQL checks some constraints at commit only, unless set otherwise."""
    has_before_triggers: bool
    """Whether a trigger may change or drop a row before it is inserted."""
    has_update_triggers: bool
    """Whether a trigger may change or drop a row before it is updated."""
    has_insert_triggers: bool
    """Whether a trigger may do anything when rows are inserted, such as changing other rows."""
    relations: frozenset[str]
    """`schema.name` of the table, its partitions and heirs, and of a view's base tables."""
    primary_key: tuple[str, ...]
    columns: Mapping[str, Column]
    unique_indexes: tuple[UniqueIndex, ...]
    self_references: tuple[SelfReference, ...]
    checks: Mapping[str, CheckConstraint]
    """Check constraints by name, also those of partitions, base tables and domains."""

    @property
    def can_copy(self) -> bool:
        """Whether COPY FROM behaves like INSERT on this table."""
        return self.kind in ("r", "p", "f") and not self.row_security and not self.has_rules


async def read_facts(connection: AsyncConnection[Any], table: str) -> TableFacts | None:
    """What the catalogue says of a table; None if it does not exist.

    Parameters
    ----------
    table:
        Its quoted name.
    """
    given = {"table": table}
    relation = await (await connection.execute(_RELATION, given)).fetchone()
    if relation is None:
        return None
    columns = await (await connection.execute(_COLUMNS, given)).fetchall()
    indexes = await (await connection.execute(_UNIQUE_INDEXES, given)).fetchall()
    references = await (await connection.execute(_SELF_REFERENCES, given)).fetchall()
    checks = await (await connection.execute(_CHECKS, given | {"relations": list(relation[8] or ())})).fetchall()
    (
        kind,
        row_security,
        has_rules,
        replaced,
        deferred,
        before_triggers,
        update_triggers,
        insert_triggers,
        relations,
        primary_key,
    ) = relation
    return TableFacts(
        kind=kind,
        row_security=row_security,
        has_rules=has_rules,
        replaced=frozenset(replaced),
        has_deferred_constraints=deferred,
        has_before_triggers=before_triggers,
        has_update_triggers=update_triggers,
        has_insert_triggers=insert_triggers,
        relations=frozenset(relations),
        primary_key=tuple(primary_key or ()),
        columns={row[0]: Column(*row) for row in columns},
        unique_indexes=tuple(
            UniqueIndex(name, tuple(parts), tuple(plain), tuple(sorted(used)), *others)
            for name, parts, plain, used, *others in indexes
        ),
        self_references=tuple(SelfReference(tuple(own), tuple(other)) for own, other in references),
        checks={
            name: CheckConstraint(tuple(used), _MARKS.sub("", text).removeprefix("CHECK (").removesuffix(")"))
            for name, used, text in checks
        },
    )
