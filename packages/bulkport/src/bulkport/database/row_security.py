"""Row-level security, in addition to the application's own checks.

Statements of a request run as the role `bulkport_tenant`, which can bypass no row-level security, with the user's id in
a setting that the tables' policies compare with. Role and setting last for one transaction (`SET LOCAL`), so that
poolers in transaction mode do not matter, and both are sent with the statement that begins it.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, Protocol

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.pq import TransactionStatus

from bulkport.logs import get_logger

TENANT_ROLE: Final = "bulkport_tenant"

_log = get_logger(__name__)
_BECOME: Final = sql.SQL("SET LOCAL ROLE bulkport_tenant; SET LOCAL bulkport_tenant.user_id = {user_id}")
_BEGIN: Final = sql.SQL("BEGIN; SET LOCAL ROLE bulkport_tenant; SET LOCAL bulkport_tenant.user_id = {user_id}")
_NO_ROLE: Final = (psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidParameterValue)


class Connections(Protocol):
    """Lends connections, as a pool does."""

    def connection(self) -> AbstractAsyncContextManager[AsyncConnection[Any]]:
        """A connection for as long as the context lasts."""


class RowSecurity:
    """Begins transactions for users on the connections of one pool.

    Where the role cannot be taken (it was not made, because the migrations may make no roles, or was not granted to the
    application's) statements run as they would without it, and a warning says so once.
    """

    def __init__(self, pool: Connections) -> None:
        self._pool = pool
        self.is_there = True
        """Whether row-level security is active, if known."""
        self._is_proven = False

    @asynccontextmanager
    async def connection(self, user_id: str) -> AsyncIterator[AsyncConnection[Any]]:
        """A connection on which only rows of the user are seen and changed, in one transaction."""
        async with self._pool.connection() as connection:
            if self.is_there and not await self._begin(connection, user_id):
                self._miss()
            if not self.is_there:
                yield connection
                return
            try:
                yield connection
            except BaseException:
                if connection.pgconn.transaction_status in {TransactionStatus.INTRANS, TransactionStatus.INERROR}:
                    await connection.execute("ROLLBACK")
                raise
            await connection.execute("COMMIT")

    async def restrict(self, connection: AsyncConnection[Any], user_id: str) -> None:
        """Have the rest of the connection's transaction see and change rows of the user alone."""
        if not self.is_there:
            return
        become = _BECOME.format(user_id=sql.Literal(user_id))
        if self._is_proven:
            await connection.execute(become)
            return
        try:
            # A savepoint: what the transaction has done is not lost where the role cannot be taken.
            async with connection.transaction():
                await connection.execute(become)
            self._is_proven = True
        except _NO_ROLE:
            self._miss()

    @asynccontextmanager
    async def restricted(self, connection: AsyncConnection[Any], user_id: str) -> AsyncIterator[None]:
        """Restrict a part of the connection's transaction; see `restrict`."""
        await self.restrict(connection, user_id)
        yield
        if self.is_there:
            await connection.execute("RESET ROLE")

    async def _begin(self, connection: AsyncConnection[Any], user_id: str) -> bool:
        try:
            await connection.execute(_BEGIN.format(user_id=sql.Literal(user_id)))
        except _NO_ROLE:
            await connection.execute("ROLLBACK")
            return False
        self._is_proven = True
        return True

    def _miss(self) -> None:
        self.is_there = False
        _log.warning(
            f"row-level security is off: this database user cannot become {TENANT_ROLE}; "
            f"an administrator mends it: CREATE ROLE {TENANT_ROLE} NOLOGIN, GRANT {TENANT_ROLE} TO the user, "
            "and the grants that docs/guarantees.md names"
        )


class UserConnections:
    """Connections of one user, where a pool is expected."""

    def __init__(self, security: RowSecurity, user_id: str) -> None:
        self._security = security
        self._user_id = user_id

    def connection(self) -> AbstractAsyncContextManager[AsyncConnection[Any]]:
        """See `RowSecurity.connection`."""
        return self._security.connection(self._user_id)
