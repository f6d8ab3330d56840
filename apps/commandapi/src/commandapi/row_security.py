"""Row-level security for platforms and commands if each user has their own catalogue.

With `COMMANDAPI_TENANCY=isolated` the two tables have row-level security (their policies are made by the migrations),
and requests read and change them as the role `bulkport_tenant`, which sees the rows of one user. Workers and exports of
a database's owner are not held back; `COPY` into such a table takes its owner or a role with `BYPASSRLS`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import psycopg
from sqlalchemy import Connection, event, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session, SessionTransaction

from bulkport.logs import get_logger
from bulkport.pools import AsyncPool
from commandapi.ownership import Tenancy

_log = get_logger(__name__)
_USER: Final = "tenant"

_IS_ON: Final = """
    SELECT bool_and(relrowsecurity) FROM pg_class
    WHERE oid IN ('public.platforms'::regclass, 'public.commands'::regclass)
"""
_IS_ENFORCED: Final = f"""
    SELECT ({_IS_ON}) AND coalesce(pg_has_role(current_user, to_regrole('bulkport_tenant'), 'MEMBER'), false)
       AND has_table_privilege(to_regrole('bulkport_tenant'), 'public.platforms', 'SELECT, INSERT, UPDATE, DELETE')
"""
_BECOME: Final = text(
    "SELECT set_config('role', 'bulkport_tenant', true), set_config('bulkport_tenant.user_id', :user_id, true)"
)


class TenantSession(Session):
    """A session whose transactions run as its user, if it has one."""


@event.listens_for(TenantSession, "after_begin")
def _become_the_tenant(session: Session, transaction: SessionTransaction, connection: Connection) -> None:
    if (user_id := session.info.get(_USER)) is not None:
        connection.execute(_BECOME, {"user_id": user_id})


class SessionsOfUser:
    """Makes sessions in which PostgreSQL shows the rows of one user alone. Use as the factory it is made of."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession], user_id: str) -> None:
        self._sessions = sessions
        self._user_id = user_id

    def __call__(self) -> AsyncSession:
        """A session; its first statement begins a transaction as the user."""
        return self._sessions(info={_USER: self._user_id})

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncSession]:
        """A session in a transaction that commits at the end."""
        async with self() as session, session.begin():
            yield session


class Enforcement:
    """Knows whether PostgreSQL checks too; a warning says once if it does not."""

    def __init__(self) -> None:
        self._is_there = False
        self._has_warned = False

    async def is_there(self, pool: AsyncPool) -> bool:
        """Whether requests can take the role, and the tables have row-level security."""
        if not self._is_there:
            async with pool.connection() as connection:
                row = await (await connection.execute(_IS_ENFORCED)).fetchone()
            self._is_there = row is not None and row[0]
            if not self._is_there and not self._has_warned:
                self._has_warned = True
                _log.warning(
                    "row-level security of platforms and commands is off: run `commandapi db upgrade` with "
                    "COMMANDAPI_TENANCY=isolated as the owner of the tables"
                )
        return self._is_there


async def has_row_security(connection: psycopg.AsyncConnection[Any]) -> bool:
    """Whether row-level security of platforms and commands is on."""
    row = await (await connection.execute(_IS_ON)).fetchone()
    return row is not None and bool(row[0])


def fit_row_security(connection: psycopg.Connection[Any], tenancy: Tenancy) -> None:
    """Switch row-level security of platforms and commands on where each user has a catalogue, else off.

    Raises
    ------
    psycopg.errors.InsufficientPrivilege
        It must be switched, and the connection's user is not the owner of the tables.
    """
    wanted = tenancy is Tenancy.ISOLATED
    row = connection.execute(_IS_ON).fetchone()
    if row is not None and row[0] is not wanted:
        switch = "ENABLE" if wanted else "DISABLE"
        connection.execute(f"ALTER TABLE public.platforms {switch} ROW LEVEL SECURITY".encode())
        connection.execute(f"ALTER TABLE public.commands {switch} ROW LEVEL SECURITY".encode())
