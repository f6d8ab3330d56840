"""The checks of `bulkport doctor` in a database, besides tables and declarations."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from psycopg import AsyncConnection

from bulkport.database.row_security import TENANT_ROLE

OLDEST_VERSION: Final = 150_000
"""PostgreSQL 15."""
_MOST_SKEW_SECONDS: Final = 5.0

_FACTS: Final = """
    SELECT current_setting('server_version_num')::integer, current_setting('server_version'),
        current_setting('server_encoding'), current_setting('DateStyle'), current_setting('max_connections')::integer,
        current_setting('superuser_reserved_connections')::integer, current_setting('fsync'),
        current_setting('full_page_writes'), current_setting('synchronous_commit'),
        current_setting('transaction_read_only'), extract(epoch FROM clock_timestamp())::double precision,
        current_setting('default_transaction_isolation')
"""
_TENANT: Final = f"""
    SELECT quote_ident(current_user), coalesce(pg_has_role(current_user, to_regrole('{TENANT_ROLE}'), 'MEMBER'), false)
"""
_INVALID_INDEXES: Final = """
    SELECT c.oid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE NOT i.indisvalid AND n.nspname NOT LIKE 'pg\\_%%' ORDER BY 1
"""
# Whoever may make functions in a schema on the path can have one of theirs called in place of PostgreSQL's, where its
# parameters fit better (CVE-2018-1058). What superusers and the database's own role make is trusted. 0 is everybody.
_OPEN_SCHEMAS: Final = """
    SELECT quote_ident(n.nspname), CASE maker WHEN 0 THEN 'every user' ELSE 'the role ' || maker::regrole::text END,
        CASE maker WHEN 0 THEN 'PUBLIC' ELSE maker::regrole::text END
    FROM pg_namespace n CROSS JOIN LATERAL (
        SELECT a.grantee FROM aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a
        WHERE a.privilege_type = 'CREATE' UNION SELECT n.nspowner
    ) m (maker)
    LEFT JOIN pg_roles r ON r.oid = maker
    JOIN pg_database d ON d.datname = current_database()
    WHERE n.nspname = ANY (current_schemas(false)) AND NOT coalesce(r.rolsuper, false)
      AND maker NOT IN (to_regrole(quote_ident(current_user)), 'pg_database_owner'::regrole, d.datdba)
    ORDER BY 1, 2
"""
_BEFORE_POSTGRESQL: Final = """
    SELECT quote_ident(found.name)
    FROM unnest(current_schemas(true)) WITH ORDINALITY found (name, place)
    WHERE found.name NOT LIKE 'pg\\_%%'
      AND found.place < array_position(current_schemas(true), 'pg_catalog') ORDER BY found.place
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a deployment that is wrong, or that somebody should know of."""

    what: str
    remedy: str
    is_wrong: bool = True
    """Whether it must be mended; otherwise it works, with a risk."""

    def __str__(self) -> str:
        return f"{'wrong' if self.is_wrong else 'warning'}: {self.what}; {self.remedy}"


async def diagnose(
    connection: AsyncConnection[Any],
    *,
    connections: int,
    lowered: str = "pool_size, max_concurrent_uploads and the workers' concurrency",
) -> list[Finding]:
    """What is wrong with the database's settings, rights, indexes and clock.

    Parameters
    ----------
    connections
        Most connections that one server process and one worker process open together.
    lowered
        Names of the settings that make it so many.

    Raises
    ------
    psycopg.Error
        The database cannot be asked.
    """
    settings = [finding async for finding in _of_settings(connection, connections, lowered)]
    return settings + [finding async for finding in _of_objects(connection)]


async def _of_settings(connection: AsyncConnection[Any], connections: int, lowered: str) -> AsyncIterator[Finding]:
    begun = time.time()
    row = await (await connection.execute(_FACTS)).fetchone()
    assert row is not None
    number, version, encoding, date_style, most, reserved, *durability, read_only, clock, isolation = row
    took = time.time() - begun
    if number < OLDEST_VERSION:
        yield Finding(f"PostgreSQL is {version}", "Bulkport needs 15 or newer")
    if encoding != "UTF8":
        yield Finding(
            f"the database's encoding is {encoding}",
            "rows with characters that it lacks are rejected; create a database with ENCODING 'UTF8'",
            is_wrong=False,
        )
    if not date_style.startswith("ISO"):
        yield Finding(
            f"DateStyle is {date_style!r}",
            "Bulkport writes and reads ISO 8601 whatever it is; other programs of this role may not",
            is_wrong=False,
        )
    if connections > most - reserved:
        yield Finding(
            f"one server and one worker process may open {connections} connections, and PostgreSQL takes "
            f"{most - reserved}",
            f"raise max_connections, or lower {lowered}",
            is_wrong=False,
        )
    elif 2 * connections > most - reserved:
        yield Finding(
            f"two servers and two workers may open {2 * connections} connections, and PostgreSQL takes "
            f"{most - reserved}",
            "raise max_connections before you start more of them, or use PgBouncer",
            is_wrong=False,
        )
    for name, value in zip(("fsync", "full_page_writes", "synchronous_commit"), durability, strict=True):
        if value == "off":
            yield Finding(f"{name} is off", "a crash may lose acknowledged data; turn it on", is_wrong=False)
    if read_only == "on":
        yield Finding("transactions are read-only", "name the primary, or end default_transaction_read_only")
    if isolation != "read committed":
        yield Finding(
            f"default_transaction_isolation is {isolation}",
            "jobs are claimed under READ COMMITTED; reset it for this role",
        )
    skew = abs(clock - begun - took / 2)
    if skew > _MOST_SKEW_SECONDS:
        yield Finding(
            f"this machine's clock and PostgreSQL's differ by {skew:.0f} s",
            "leases are not affected, but signed links and tokens are; synchronize both with NTP",
            is_wrong=False,
        )


async def _of_objects(connection: AsyncConnection[Any]) -> AsyncIterator[Finding]:
    row = await (await connection.execute(_TENANT)).fetchone()
    if row is not None and not row[1]:
        yield Finding(
            f"the role {row[0]} cannot become {TENANT_ROLE}, so PostgreSQL does not check whose imports a request sees",
            f"CREATE ROLE {TENANT_ROLE} NOLOGIN if there is none; GRANT {TENANT_ROLE} TO {row[0]}",
            is_wrong=False,
        )
    for (index,) in await (await connection.execute(_INVALID_INDEXES)).fetchall():
        yield Finding(f"the index {index} is invalid", f"REINDEX INDEX CONCURRENTLY {index}")
    for schema, maker, grantee in await (await connection.execute(_OPEN_SCHEMAS)).fetchall():
        yield Finding(
            f"{maker} of the database may create functions in the schema {schema}, which is on the search path, "
            "and have them called in place of PostgreSQL's",
            f"REVOKE CREATE ON SCHEMA {schema} FROM {grantee}, or take the schema off the path",
            is_wrong=False,
        )
    for (schema,) in await (await connection.execute(_BEFORE_POSTGRESQL)).fetchall():
        yield Finding(
            f"the search path looks into the schema {schema} before pg_catalog, so functions and operators there "
            "take the place of PostgreSQL's",
            "leave pg_catalog out of search_path (it is then first), or name it first",
        )
