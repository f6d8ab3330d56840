"""What `bulkport doctor` looks at in a database, besides tables and declarations."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from psycopg import AsyncConnection

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
_INVALID_INDEXES: Final = """
    SELECT c.oid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE NOT i.indisvalid AND n.nspname NOT LIKE 'pg\\_%%' ORDER BY 1
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


async def diagnose(connection: AsyncConnection[Any], *, connections: int) -> list[Finding]:
    """What is wrong with the database's settings, rights, indexes and clock.

    Parameters
    ----------
    connections
        Most connections that one server process and one worker process open together.

    Raises
    ------
    psycopg.Error
        The database cannot be asked.
    """
    return [finding async for finding in _findings(connection, connections)]


async def _findings(connection: AsyncConnection[Any], connections: int) -> AsyncIterator[Finding]:
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
            "characters that it lacks make rows bad; make a database with ENCODING 'UTF8'",
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
            "raise max_connections, or lower pool_size, max_concurrent_uploads and the workers' concurrency",
            is_wrong=False,
        )
    elif 2 * connections > most - reserved:
        yield Finding(
            f"two servers and two workers may open {2 * connections} connections, and PostgreSQL takes "
            f"{most - reserved}",
            "raise max_connections before there are more of them, or put PgBouncer between",
            is_wrong=False,
        )
    for name, value in zip(("fsync", "full_page_writes", "synchronous_commit"), durability, strict=True):
        if value == "off":
            yield Finding(f"{name} is off", "a crash may lose what was acknowledged; turn it on", is_wrong=False)
    if read_only == "on":
        yield Finding("transactions are read-only", "name the primary, or end default_transaction_read_only")
    if isolation != "read committed":
        yield Finding(
            f"default_transaction_isolation is {isolation}",
            "jobs are claimed under READ COMMITTED; set it back for this role",
        )
    skew = abs(clock - begun - took / 2)
    if skew > _MOST_SKEW_SECONDS:
        yield Finding(
            f"this machine's clock and PostgreSQL's differ by {skew:.0f} s",
            "leases do not mind, signed links and tokens do; let both follow NTP",
            is_wrong=False,
        )
    for (index,) in await (await connection.execute(_INVALID_INDEXES)).fetchall():
        yield Finding(f"the index {index} is invalid", f"REINDEX INDEX CONCURRENTLY {index}")
