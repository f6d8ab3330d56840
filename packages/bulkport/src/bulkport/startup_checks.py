"""What a process looks at when it starts: whether the tables are there, and whether declarations fit theirs."""

from typing import Final

import psycopg
from psycopg_pool import PoolTimeout

from bulkport import migrations
from bulkport.imports.check import check_resources
from bulkport.imports.resource import Resources
from bulkport.logs import get_logger
from bulkport.pools import AsyncPool

_log = get_logger(__name__)

_WAIT_SECONDS: Final = 3.0


async def check_tables(pool: AsyncPool, *, schema: str, any_encoding: bool) -> None:
    """Refuse a database that lacks tables; one that cannot be reached yet is only told of.

    Raises
    ------
    MigrationsMissing, UnsupportedEncoding
        See `migrations.check`.
    """
    try:
        async with pool.connection(timeout=_WAIT_SECONDS) as connection:
            await migrations.check(connection, schema=schema, any_encoding=any_encoding)
    except (PoolTimeout, psycopg.OperationalError) as error:
        _log.warning("the database cannot be reached yet", error=str(error).strip())


async def log_mistakes(pool: AsyncPool, resources: Resources) -> None:
    """Log each mistake in the declarations of resources."""
    try:
        async with pool.connection(timeout=_WAIT_SECONDS) as connection:
            mistakes = await check_resources(connection, resources.values())
    except (PoolTimeout, psycopg.Error) as error:
        _log.warning("declarations could not be checked", error=str(error).strip())
        return
    for mistake in mistakes:
        _log.error("an import cannot work", mistake=str(mistake))
