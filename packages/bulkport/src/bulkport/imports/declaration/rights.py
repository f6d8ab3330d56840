"""The privileges that a resource needs and the connection's role lacks (PostgreSQL manual, "Privileges")."""

from collections.abc import Sequence
from typing import Any, Final

from psycopg import AsyncConnection
from psycopg.errors import InsufficientPrivilege

from bulkport.imports.declaration.mistakes import Mistake
from bulkport.imports.resource import Resource
from bulkport.imports.write_options import WriteMode
from bulkport.imports.writing.table import table_identifier

_EXISTS: Final = "SELECT to_regclass(%s), current_user"

# Bit 3 is INSERT; triggers that take the rows count too (PostgreSQL, src/backend/rewrite/rewriteHandler.c).
_TAKES_ROWS: Final = "SELECT pg_relation_is_updatable(to_regclass(%s), true) & 8 <> 0"

_MAY: Final = """
    SELECT current_user,
           has_table_privilege(%(table)s, %(right)s)
           OR (cardinality(%(columns)s::text[]) > 0 AND (
               SELECT bool_and(has_column_privilege(attrelid, attnum, %(right)s)) FROM pg_attribute
               WHERE attrelid = to_regclass(%(table)s) AND attname = ANY (%(columns)s) AND NOT attisdropped))
"""

# SELECT … FOR KEY SHARE needs UPDATE on some column as well (PostgreSQL manual, "SELECT", The Locking Clause).
_MAY_LOCK: Final = """
    SELECT current_user, has_table_privilege(%(table)s, 'SELECT') AND has_any_column_privilege(%(table)s, 'UPDATE')
"""

# Those that defaults take their values from; an identity column needs no right to its own.
_SEQUENCES: Final = """
    SELECT current_user, a.attname::text, s.oid::regclass::text
    FROM pg_attribute a
    JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    JOIN pg_depend p ON p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid AND p.refclassid = 'pg_class'::regclass
    JOIN pg_class s ON s.oid = p.refobjid AND s.relkind = 'S'
    WHERE a.attrelid = to_regclass(%(table)s) AND NOT a.attname = ANY (%(columns)s)
      AND CASE WHEN s.relkind = 'S' THEN NOT has_sequence_privilege(s.oid, 'USAGE') END
"""


async def schema_mistake(connection: AsyncConnection[Any], resource: str, table: str, quoted: str) -> Mistake | None:
    """The mistake that the role may not use the schema of a table; None: it may, or the table does not exist."""
    try:
        async with connection.transaction():
            await connection.execute(_EXISTS, (quoted,))
    except InsufficientPrivilege:
        role = await _role(connection)
        schema = table.partition(".")[0]
        return Mistake(
            resource, f"the role {role} may not use the schema of {table}", f"GRANT USAGE ON SCHEMA {schema} TO {role}"
        )
    return None


async def takes_rows(connection: AsyncConnection[Any], quoted: str) -> bool:
    """Whether rows can be inserted into a table or view."""
    row = await (await connection.execute(_TAKES_ROWS, (quoted,))).fetchone()
    return row is not None and bool(row[0])


async def right_mistakes(connection: AsyncConnection[Any], resource: Resource, quoted: str) -> list[Mistake]:
    """The rights that the connection's role lacks.

    Parameters
    ----------
    quoted
        Name of the resource's table, which exists.
    """
    found: list[Mistake] = []
    columns = [*resource.column_names, *resource.context]
    modes = set(resource.allowed_modes)
    needed: dict[str, tuple[str, Sequence[str]]] = {"INSERT": ("INSERT into", columns)}
    if modes & {WriteMode.UPSERT, WriteMode.UPDATE}:
        needed["UPDATE"] = ("UPDATE", [column for column in columns if column not in resource.write_key])
    if modes - {WriteMode.INSERT}:
        needed["SELECT"] = ("SELECT from", [*resource.write_key])
    if WriteMode.DELETE in modes:
        needed["DELETE"] = ("DELETE from", [])
    for right, (verb, wanted) in needed.items():
        role, may = await _may(connection, quoted, right, wanted)
        if not may:
            what = f"the role {role} may not {verb} {resource.table}"
            found.append(Mistake(resource.name, what, f"GRANT {right} ON {resource.table} TO {role}"))
    given = {"table": quoted, "columns": columns}
    for role, column, sequence in await (await connection.execute(_SEQUENCES, given)).fetchall():
        what = f"the role {role} may not use the sequence {sequence}, which fills {column}"
        found.append(Mistake(resource.name, what, f"GRANT USAGE ON SEQUENCE {sequence} TO {role}"))
    for reference in resource.references:
        name = table_identifier(reference.table).as_string(connection)
        exists = await (await connection.execute(_EXISTS, (name,))).fetchone()
        if exists is None or exists[0] is None:
            continue
        row = await (await connection.execute(_MAY_LOCK, {"table": name})).fetchone()
        assert row is not None
        if not row[1]:
            other, role = reference.table, row[0]
            what = f"the role {role} may not read and lock {other}, which the reference {reference.field} names"
            grant = f"GRANT SELECT, UPDATE ({reference.column}) ON {other} TO {role}"
            found.append(Mistake(resource.name, what, grant))
    return found


async def _may(connection: AsyncConnection[Any], quoted: str, right: str, columns: Sequence[str]) -> tuple[str, bool]:
    plain = [column for column in columns if "(" not in column]
    given = {"table": quoted, "right": right, "columns": plain if right != "DELETE" else []}
    row = await (await connection.execute(_MAY, given)).fetchone()
    assert row is not None
    return row[0], bool(row[1])


async def _role(connection: AsyncConnection[Any]) -> str:
    row = await (await connection.execute("SELECT current_user")).fetchone()
    assert row is not None
    return str(row[0])
