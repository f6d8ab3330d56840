"""Column types as the database's catalogue has them."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from psycopg import AsyncConnection

from bulkport.imports.values.column_type import ColumnType, TypeKind

# All types behind the table's columns: base types of domains, element types of arrays, subtypes of ranges.
TYPES: Final = """
    WITH RECURSIVE used (oid) AS (
        SELECT atttypid FROM pg_attribute WHERE attrelid = to_regclass(%(table)s) AND attnum > 0 AND NOT attisdropped
        UNION
        SELECT inner_type.oid FROM used
        JOIN pg_type t ON t.oid = used.oid
        CROSS JOIN LATERAL (
            SELECT t.typbasetype UNION ALL
            SELECT t.typelem WHERE t.typcategory = 'A' UNION ALL
            SELECT r.rngsubtype FROM pg_range r WHERE r.rngtypid = t.oid UNION ALL
            SELECT r.rngtypid FROM pg_range r WHERE r.rngmultitypid = t.oid UNION ALL
            SELECT a.atttypid FROM pg_attribute a
            WHERE a.attrelid = t.typrelid AND t.typtype = 'c' AND a.attnum > 0 AND NOT a.attisdropped
        ) AS inner_type (oid)
        WHERE inner_type.oid <> 0
    )
    SELECT t.oid, t.typname, t.typtype, t.typcategory, t.typelem, t.typbasetype, t.typtypmod,
           coalesce((SELECT r.rngsubtype FROM pg_range r WHERE r.rngtypid = t.oid),
                    (SELECT r.rngtypid FROM pg_range r WHERE r.rngmultitypid = t.oid), 0::oid),
           ARRAY(SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder),
           (SELECT jsonb_agg(jsonb_build_array(a.attname, a.atttypid::bigint, a.atttypmod) ORDER BY a.attnum)::text
            FROM pg_attribute a
            WHERE a.attrelid = t.typrelid AND t.typtype = 'c' AND a.attnum > 0 AND NOT a.attisdropped),
           t.typdelim::text
    FROM used JOIN pg_type t ON t.oid = used.oid
"""

COLUMNS: Final = """
    SELECT attname, atttypid, atttypmod FROM pg_attribute
    WHERE attrelid = to_regclass(%(table)s) AND attnum > 0 AND NOT attisdropped
"""

# A quarter in the database's locale shows its decimal separator, which cannot be queried.
MONEY_SAMPLE: Final = "SELECT (1.25::numeric::money)::text"


async def read_column_types(connection: AsyncConnection[Any], table: str) -> dict[str, ColumnType]:
    """Type by column of a table; none where the table does not exist.

    Parameters
    ----------
    table:
        The table's name as SQL takes it, quoted where needed.
    """
    parameters = {"table": table}
    columns = await (await connection.execute(COLUMNS, parameters)).fetchall()
    types = await (await connection.execute(TYPES, parameters)).fetchall()
    sample = None
    if any(row[1] == "money" for row in types):
        sample = await (await connection.execute(MONEY_SAMPLE)).fetchone()
    return column_types(columns, types, sample[0] if sample else None)


def column_types(
    columns: Sequence[Sequence[Any]], types: Sequence[Sequence[Any]], money_sample: str | None
) -> dict[str, ColumnType]:
    """Type by column, from the results of `COLUMNS`, `TYPES` and `MONEY_SAMPLE`."""
    rows = {row[0]: row[1:] for row in types}
    point = None
    if money_sample is not None:
        found = re.search(r"1(\D+)25", money_sample)
        point = found[1] if found else ""
    return {name: _built(oid, modifier, rows, point) for name, oid, modifier in columns}


def _built(oid: int, modifier: int, rows: Mapping[int, Sequence[Any]], point: str | None) -> ColumnType:
    name, kind, category, element, base, base_modifier, subtype, labels, attributes, delimiter = rows[oid]
    match kind:
        case "d":
            return _built(base, base_modifier, rows, point)
        case "e":
            return ColumnType(name, TypeKind.ENUM, labels=tuple(labels))
        case "r":
            return ColumnType(name, TypeKind.RANGE, element=_built(subtype, -1, rows, point))
        case "m":
            return ColumnType(name, TypeKind.MULTIRANGE, element=_built(subtype, -1, rows, point))
        case "c":
            parts = [(part, _built(kind, modifier, rows, point)) for part, kind, modifier in json.loads(attributes)]
            return ColumnType(name, TypeKind.COMPOSITE, attributes=tuple(parts))
    if category == "A" and element and name.startswith("_"):  # the vectors of the catalogue are written otherwise
        element_type = _built(element, modifier, rows, point)
        return ColumnType(name, TypeKind.ARRAY, element=element_type, delimiter=delimiter)
    return ColumnType(name, modifier=modifier, money_point=point if name == "money" else None)
