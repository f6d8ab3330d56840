"""What a process looks at when it starts: whether the tables are there, and whether declarations fit theirs."""

import asyncio
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import PoolTimeout

from bulkport import migrations
from bulkport.database import cursor_classes, database_url, mask_passwords, permanent_failure_in
from bulkport.imports.declaration.check import check_resources
from bulkport.imports.resource import Resources
from bulkport.logs import get_logger
from bulkport.pools import AsyncPool

_log = get_logger(__name__)

_CONNECT_SECONDS: Final = 10
_WAIT_SECONDS: Final = 3.0


class ApplicationDatabase:
    """The database of an application, as its `Bulkport` is given it.

    Parameters
    ----------
    given
        URL, or a function that returns it. One that is there and wrong is refused at once; one that is missing, when it
        is needed.

    Raises
    ------
    UnusableDatabaseUrl
        The URL is malformed.
    """

    def __init__(self, given: Any, schema: str) -> None:
        self._given = given
        self._schema = schema
        if isinstance(given, str) and given:
            database_url(given)

    @property
    def url(self) -> str:
        """As psycopg takes it; raises UnusableDatabaseUrl if it is missing or malformed."""
        return database_url(self._given() if callable(self._given) else self._given)

    async def connect(self) -> AsyncConnection[Any]:
        """A separate autocommit connection.

        Raises
        ------
        DatabaseRefused
            The server permanently refuses it.
        psycopg.OperationalError
            The server cannot be reached.
        """
        try:
            return await AsyncConnection.connect(
                self.url,
                autocommit=True,
                connect_timeout=_CONNECT_SECONDS,
                cursor_factory=cursor_classes(self._schema)[1],
                prepare_threshold=None,
            )
        except psycopg.OperationalError as error:
            raise permanent_failure_in(error) or error from None

    async def check(self, connection: AsyncConnection[Any]) -> None:
        """Refuse a database that lacks tables; raises as `migrations.check`."""
        any_encoding = "client_encoding" in conninfo_to_dict(self.url)
        await migrations.check(connection, schema=self._schema, any_encoding=any_encoding)

    async def check_at_start(self) -> None:
        """As `check`, on a connection of its own. That the database cannot be reached yet is only logged.

        Raises
        ------
        DatabaseRefused
            See `connect`.
        """
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):  # psycopg's own limit does not cover the look-up of a name
                connection = await self.connect()
            async with connection:
                await self.check(connection)
        except (TimeoutError, psycopg.OperationalError) as error:
            reason = mask_passwords(str(error).strip()) or f"no answer within {_CONNECT_SECONDS} s"
            _log.warning("the database cannot be reached yet", error=reason)

    async def check_tables(self, pool: AsyncPool) -> None:
        """As `check_at_start`, on a connection of a pool."""
        try:
            async with pool.connection(timeout=_WAIT_SECONDS) as connection:
                await self.check(connection)
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
