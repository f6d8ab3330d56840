"""Tenancy: which platforms and commands a request sees, and which of them it may remove.

The catalogue is shared: everybody sees all of it, and what a user added by single requests is remembered as theirs.
With `COMMANDAPI_TENANCY=isolated` each user has a catalogue of their own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from fastapi import Depends
from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import InstrumentedAttribute
from starlette.requests import Request

from bulkport.identifiers import UserId
from commandapi.auth import current_user
from commandapi.auth.keys import Scope
from commandapi.ownership import OWNER, Tenancy
from commandapi.row_security import SessionsOfUser


@dataclass(frozen=True, slots=True)
class Tenant:
    """Who asks, and what of the catalogue is theirs."""

    user_id: UserId
    is_isolated: bool
    is_admin: bool
    """Whether they may remove what others added, where that can be seen."""

    def sees(self, owner: InstrumentedAttribute[str | None]) -> list[ColumnElement[bool]]:
        """Conditions on the rows that they see and change."""
        return [owner == self.user_id] if self.is_isolated else []

    def removes(self, owner: InstrumentedAttribute[str | None]) -> list[ColumnElement[bool]]:
        """Conditions on the rows that they may remove."""
        return [owner == self.user_id] if self.is_isolated or not self.is_admin else []


async def current_tenant(request: Request, user_id: Annotated[UserId, Depends(current_user)]) -> Tenant:
    """Dependency of the catalogue's routes."""
    return Tenant(
        user_id,
        is_isolated=request.app.state.settings.tenancy is Tenancy.ISOLATED,
        is_admin=Scope.ADMIN in request.state.caller.scopes,
    )


CurrentTenant = Annotated[Tenant, Depends(current_tenant)]


def owner_context(tenancy: Tenancy) -> Mapping[str, Callable[..., Any]]:
    """The context of importable resources: with a catalogue per user, rows belong to the importing user."""
    return {OWNER: current_user} if tenancy is Tenancy.ISOLATED else {}


SessionsOfTenant: TypeAlias = SessionsOfUser | async_sessionmaker[AsyncSession]


async def sessions_of_tenant(request: Request, tenant: CurrentTenant) -> SessionsOfTenant:
    """Dependency: makes sessions of the request's user, to which PostgreSQL shows no other's rows."""
    state = request.app.state
    if tenant.is_isolated and await state.enforcement.is_there(state.pool):
        return SessionsOfUser(state.sessions, tenant.user_id)
    sessions: async_sessionmaker[AsyncSession] = state.sessions
    return sessions


async def reading_sessions_of_tenant(request: Request, tenant: CurrentTenant) -> SessionsOfTenant:
    """Dependency: the same for requests that only read, without a transaction where none is needed."""
    if tenant.is_isolated:
        return await sessions_of_tenant(request, tenant)
    sessions: async_sessionmaker[AsyncSession] = request.app.state.reading_sessions
    return sessions


Sessions = Annotated[SessionsOfTenant, Depends(sessions_of_tenant)]
ReadingSessions = Annotated[SessionsOfTenant, Depends(reading_sessions_of_tenant)]
