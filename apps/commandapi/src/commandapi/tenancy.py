"""Whose platforms and commands a request sees, and which of them it may remove.

The catalogue is shared: everybody sees all of it, and what a user added by single requests is remembered as theirs.
With `COMMANDAPI_TENANCY=isolated` each user has a catalogue of their own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends
from sqlalchemy import ColumnElement
from sqlalchemy.orm import InstrumentedAttribute
from starlette.requests import Request

from bulkport.identifiers import UserId
from commandapi.auth import current_user
from commandapi.auth.keys import Scope
from commandapi.settings import OWNER, Tenancy


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
    """The context of resources that can be imported: with a catalogue for each user, rows belong to who imports."""
    return {OWNER: current_user} if tenancy is Tenancy.ISOLATED else {}
