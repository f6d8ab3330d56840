"""Database connections that notice a dead peer, and pools of them that survive a restart of PostgreSQL.

Behind a pooler such as PgBouncer in transaction mode each transaction may run in another session. There no statement is
prepared by name and no session is set up: others of the pooler's clients would have the setting.

A borrower may be cancelled at any point. Its connection goes back to the pool only if the next borrower cannot notice:
not in pipeline mode, not inside a transaction or a COPY, in autocommit mode. Any other is closed.
"""

import asyncio
import select
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeAlias
from weakref import WeakKeyDictionary, WeakSet

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from bulkport.connection_user import connection_user
from bulkport.database import DEFAULT_SCHEMA, cursor_classes, permanent_failure_in
from bulkport.slots import Slots

AsyncPool: TypeAlias = AsyncConnectionPool[AsyncConnection[Any]]

_ISO_DATES: Final = "SET datestyle = 'ISO'"
_SESSION: Final = "SELECT pg_backend_pid()"
_NOTICE_A_DEAD_PEER: Mapping[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "fallback_application_name": "bulkport",
}


def is_reusable(connection: AsyncConnection[Any] | psycopg.Connection[Any]) -> bool:
    """Whether the connection is clean for its next user. Costs no round trip.

    A user that was cancelled can leave pipeline mode on: psycopg cannot switch it off while results are outstanding,
    and every later statement would then be queued without ever being answered.
    """
    pgconn = connection.pgconn
    return pgconn.transaction_status == TransactionStatus.IDLE and pgconn.pipeline_status == PipelineStatus.OFF


async def is_pooled(connection: AsyncConnection[Any]) -> bool:
    """Whether statements run in another session than the one that was promised when the connection was made."""
    cursor = connection.cursor(row_factory=tuple_row)
    row = await (await cursor.execute(_SESSION, prepare=False)).fetchone()
    return row is None or row[0] != connection.info.backend_pid


async def write_iso_dates(connection: AsyncConnection[Any]) -> None:
    """Have times written as psycopg reads them, where the role's or the database's `DateStyle` is another one.

    The order of day and month in what PostgreSQL reads stays. A pooler gives each of its clients its own `DateStyle`.
    """
    if _writes_other_dates(connection):
        await connection.execute(_ISO_DATES)


def write_iso_dates_sync(connection: psycopg.Connection[Any]) -> None:
    """As `write_iso_dates`."""
    if _writes_other_dates(connection):
        connection.execute(_ISO_DATES)


def _writes_other_dates(connection: AsyncConnection[Any] | psycopg.Connection[Any]) -> bool:
    return not (connection.info.parameter_status("DateStyle") or "ISO").startswith("ISO")


def prepare_nothing_if_pooled(connection: psycopg.Connection[Any]) -> None:
    """As the pools of connections for an event loop do."""
    write_iso_dates_sync(connection)
    row = connection.cursor(row_factory=tuple_row).execute(_SESSION, prepare=False).fetchone()
    if row is None or row[0] != connection.info.backend_pid:
        connection.prepare_threshold = None


class _AsyncPool(AsyncConnectionPool[AsyncConnection[Any]]):
    """A pool that takes connections back at once if there is nothing to reset, which is the usual case.

    Parameters
    ----------
    set_up
        Prepares a new connection, and one whose session was reset.
    shares
        Shares the connections among users; None for first come, first served.
    """

    def __init__(
        self,
        conninfo: str,
        *,
        set_up: Callable[[AsyncConnection[Any]], Awaitable[None]],
        shares: Slots | None = None,
        **options: Any,
    ) -> None:
        super().__init__(conninfo, configure=set_up, **options)
        self._set_up = set_up
        self._shares = shares
        self._borrowers: WeakKeyDictionary[AsyncConnection[Any], str] = WeakKeyDictionary()

    async def getconn(
        self,
        timeout: float | None = None,  # noqa: ASYNC109  # psycopg's name
    ) -> AsyncConnection[Any]:
        """A connection, once there is one for the user that the task borrows for.

        Raises
        ------
        TooManyRequests
            The user has as many as one user may have.
        PoolTimeout, ServiceUnavailable
            There was none in time.
        """
        user_id = connection_user.get()
        if self._shares is None or user_id is None:
            return await super().getconn(timeout)
        await self._shares.take(user_id)
        try:
            connection = await super().getconn(timeout)
        except BaseException:
            self._shares.give_back(user_id)
            raise
        self._borrowers[connection] = user_id
        return connection

    @asynccontextmanager
    async def connection(  # psycopg's name and parameters
        self,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> AsyncIterator[AsyncConnection[Any]]:
        """As psycopg's, which commits at the end also where no transaction is open."""
        connection = await self.getconn(timeout)
        try:
            yield connection
            if connection.pgconn.transaction_status != TransactionStatus.IDLE:
                await connection.commit()
        except BaseException:
            if connection.pgconn.transaction_status in {TransactionStatus.INTRANS, TransactionStatus.INERROR}:
                # One that cannot be rolled back is not reusable either.
                with suppress(psycopg.Error):
                    await connection.rollback()
            raise
        finally:
            await self.putconn(connection)

    async def putconn(self, conn: AsyncConnection[Any]) -> None:
        """Take a connection back; one that is not reusable is closed and replaced."""
        if not is_reusable(conn):
            # `conn.close()` would give it to this pool.
            conn.pgconn.finish()
        elif conn in _lent or not _has_own_settings(conn):
            # In a task: a borrower that is cancelled once more does not cut it short.
            await asyncio.shield(asyncio.ensure_future(self._restore(conn)))
            return
        await self._take_back(conn)

    async def _take_back(self, connection: AsyncConnection[Any]) -> None:
        user_id = self._borrowers.pop(connection, None)
        try:
            await super().putconn(connection)
        finally:
            if user_id is not None and self._shares is not None:
                self._shares.give_back(user_id)

    async def _restore(self, connection: AsyncConnection[Any]) -> None:
        """Reset the connection, then take it back."""
        try:
            await connection.set_autocommit(True)
            await connection.set_isolation_level(None)
            await connection.set_read_only(None)
            await connection.set_deferrable(None)
            if connection in _lent:
                _lent.discard(connection)
                await connection.execute("RESET ALL; RESET ROLE")
                await self._set_up(connection)
        except psycopg.Error:
            connection.pgconn.finish()
        await self._take_back(connection)


class SyncPool(ConnectionPool[psycopg.Connection[Any]]):
    """A pool for code without an event loop. It closes connections that are not reusable.

    It is made closed. `connect_first` opens it, and raises `DatabaseRefused` at once where the pool would try for long.
    """

    def connect_first(self) -> None:
        """Open the pool unless it is open; raises `DatabaseRefused` if the database permanently refuses connections."""
        if not self.closed:
            return
        try:
            psycopg.connect(str(self.conninfo)).close()
        except psycopg.OperationalError as error:
            if (refusal := permanent_failure_in(error)) is not None:
                raise refusal from None
        self.open()

    def putconn(self, conn: psycopg.Connection[Any]) -> None:
        """Take a connection back; one that is not reusable is closed and replaced."""
        if not is_reusable(conn):
            conn.pgconn.finish()
        super().putconn(conn)


_lent: WeakSet[AsyncConnection[Any]] = WeakSet()
_direct: WeakSet[AsyncConnection[Any]] = WeakSet()
"""Connections of pools that lead to PostgreSQL itself."""


def prepares(connection: AsyncConnection[Any]) -> bool | None:
    """psycopg's `prepare` for statements that are run again and again: on a pool's connection it is left to psycopg.

    On any other, its owner's, they are not prepared: it may lead through a pooler.
    """
    return None if connection in _direct else False


def lend(connection: AsyncConnection[Any]) -> None:
    """Mark a connection that code of the application is given: what that sets in the session is undone before anybody
    else has it, by a round trip.
    """
    _lent.add(connection)


def _has_own_settings(connection: AsyncConnection[Any]) -> bool:
    """Whether it is as a pool makes connections, on the client's side."""
    return (
        connection.autocommit
        and connection.isolation_level is None
        and connection.read_only is None
        and connection.deferrable is None
    )


def restore_sync(connection: psycopg.Connection[Any]) -> None:
    """As the pools of connections for an event loop do."""
    connection.autocommit = True
    connection.isolation_level = None
    connection.read_only = None
    connection.deferrable = None


@asynccontextmanager
async def open_pool(
    database_url: str,
    *,
    name: str,
    most: int,
    least: int = 1,
    acquire_seconds: float = 10.0,
    application_name: str | None = None,
    schema: str = DEFAULT_SCHEMA,
    connection_class: type[AsyncConnection[Any]] = AsyncConnection,
    configure: Callable[[AsyncConnection[Any]], Awaitable[None]] | None = None,
    user_share: int | None = None,
) -> AsyncIterator[AsyncPool]:
    """A pool of autocommit connections, open for as long as the context lasts.

    It does not wait for the database: that need not be there yet, and may go away and come back.

    Parameters
    ----------
    most, least:
        Maximum connections, and those kept open while idle.
    acquire_seconds:
        Longest wait for a free connection; after it, `psycopg_pool.PoolTimeout`.
    application_name:
        What PostgreSQL calls the connections; None: what the URL says.
    schema:
        Where Bulkport's tables are; statements are written for the default one.
    configure:
        Prepares the session of a new connection; not behind a pooler.
    user_share:
        Concurrent connections of one user (`bulkport.connection_user`); None for all.
    """
    shares = (
        None
        if user_share is None
        else Slots("requests to the database", in_all=most, per_user=user_share, wait_seconds=acquire_seconds)
    )

    async def set_up(connection: AsyncConnection[Any]) -> None:
        await write_iso_dates(connection)
        if await is_pooled(connection):
            connection.prepare_threshold = None
            return
        _direct.add(connection)
        if configure is not None:
            await configure(connection)

    pool: AsyncPool = _AsyncPool(
        patient_conninfo(database_url),
        connection_class=connection_class,
        # In UTF-8 every sign can be sent, whatever the database's encoding: one that it lacks is a row's fault.
        kwargs={"autocommit": True, "client_encoding": "utf8", "cursor_factory": cursor_classes(schema)[1]}
        | ({"application_name": application_name} if application_name else {}),
        min_size=min(least, most),
        max_size=most,
        timeout=acquire_seconds,
        # Waits between tries to connect double until this time is over; then the next borrower starts afresh. With
        # With psycopg's default of 300 s, a pool may stay empty for as long again as the outage lasted.
        reconnect_timeout=acquire_seconds,
        check=discard_if_dropped,
        set_up=set_up,
        shares=shares,
        close_returns=True,
        open=False,
        name=name,
    )
    await pool.open(wait=False)
    try:
        yield pool
    finally:
        await pool.close()


def share_of_user(connections: int) -> int:
    """How many of a pool's connections one user may have, so that others find one."""
    return max(1, connections - max(1, connections // 3))


async def prefer_indexes(connection: AsyncConnection[Any]) -> None:
    """Have the connection's statements read no table from end to end that has an index for them.

    For those that are run again and again while tables grow. Checks of foreign keys are planned once a session: planned
    when the other table is known to have a few rows, they would read all of it for each row that is written, also when
    it has a hundred thousand a moment later, until autovacuum comes by.
    """
    # Before PostgreSQL 18 a plan that cannot do without looks so dear that it would be compiled each time.
    await connection.execute("SET enable_seqscan = off; SET jit = off")


async def discard_if_dropped(connection: AsyncConnection[Any]) -> None:
    """Refuse an idle connection that the server has closed, as after a restart of PostgreSQL.

    An idle connection has nothing to read unless the server said goodbye. Asking the socket spares every request the
    round trip of psycopg's own check.

    Raises
    ------
    psycopg.OperationalError
        If the connection is gone; the pool then takes another.
    """
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN)
        if not poll.poll(0):
            return
    await AsyncConnectionPool.check_connection(connection)


def patient_conninfo(database_url: str) -> str:
    """`database_url` with settings that distinguish a dead peer from a slow one within about ten seconds.

    See PostgreSQL's manual, "Parameter Key Words"; what the URL itself says goes first.
    """
    stated = conninfo_to_dict(database_url)
    return make_conninfo(database_url, **{k: v for k, v in _NOTICE_A_DEAD_PEER.items() if k not in stated})
