"""Rows of other tables that PostgreSQL deletes or empties together with a row that they refer to.

A foreign key with ON DELETE CASCADE, SET NULL or SET DEFAULT lets a row go and changes those that refer to it. An undo
takes back what the import did, and nothing of others: so it keeps created rows that rows of others refer to by now. The
other foreign keys refuse the deletion by themselves.
"""

from collections.abc import Sequence
from typing import Any, Final

from psycopg import AsyncConnection, sql

from bulkport.imports.writing.table import TargetTable

# Of a table that may not be read PostgreSQL's own word holds. Of a partitioned table the key of the whole says all.
_SELECT: Final = """
    SELECT n.nspname, c.relname,
           ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS u (attnum, position)
                 JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.attnum ORDER BY position),
           ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS u (attnum, position)
                 JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.attnum ORDER BY position)
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE k.confrelid = to_regclass(%s) AND k.contype = 'f' AND k.confdeltype IN ('c', 'n', 'd') AND k.conparentid = 0
      AND has_table_privilege(k.conrelid, 'SELECT') ORDER BY k.oid
"""


async def others_refer(
    connection: AsyncConnection[Any], table: TargetTable, writers: Sequence[str]
) -> sql.Composable | None:
    """Condition on `stored`: rows that none of these transactions wrote would change with it; None: never.

    Parameters
    ----------
    writers:
        Numbers of the import's transactions.
    """
    found = await (await connection.execute(_SELECT, (table.identifier.as_string(None),))).fetchall()
    own = sql.SQL("other.xmin = ANY({}::xid[])").format(list(writers))
    conditions = [
        sql.SQL("EXISTS (SELECT FROM {} AS other WHERE {} AND NOT {})").format(
            sql.Identifier(schema, name),
            sql.SQL(" AND ").join(
                sql.SQL("{} = {}").format(sql.Identifier("other", column), sql.Identifier("stored", referenced))
                for column, referenced in zip(columns, referred, strict=True)
            ),
            own,
        )
        for schema, name, columns, referred in found
    ]
    return sql.SQL("({})").format(sql.SQL(" OR ").join(conditions)) if conditions else None
