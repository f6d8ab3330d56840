"""Idempotent changes of single platforms and commands (`Idempotency-Key`)."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from bulkport.app import Bulkport
from bulkport.fastapi.change import Answer, response_of
from bulkport.fastapi.idempotent import Keep
from commandapi.tenancy import CurrentTenant, Sessions


@dataclass(frozen=True, slots=True)
class Created:
    """A row that was added."""

    view: BaseModel
    location: str
    """Path of its address."""


Change = Callable[[AsyncSession], Awaitable[Created | None]]
"""Makes a change in a session's transaction, and gives what it has created."""


class SingleChange:
    """Makes one change, in one transaction, and answers its request.

    A request that comes again with its `Idempotency-Key` is answered as it was first, and changes nothing.
    """

    def __init__(self, request: Request, sessions: Sessions, tenant: CurrentTenant) -> None:
        self._sessions = sessions
        bulkport: Bulkport = request.app.state.bulkport
        self._once = bulkport.once(request, tenant.user_id)

    async def __call__(self, change: Change) -> Response:
        """201 with the created object, or 204."""

        async def in_transaction(keep: Keep) -> Mapping[str, Any]:
            async with self._sessions.begin() as session:
                created = await change(session)
                await session.flush()
                answer = (Answer() if created is None else Answer(201, created.view, created.location)).to_json()
                pooled = await (await session.connection()).get_raw_connection()
                assert pooled.driver_connection is not None
                await keep(pooled.driver_connection, answer)
            return answer

        return response_of(await self._once(in_transaction), is_replayed=self._once.is_replayed)


Changing = Annotated[SingleChange, Depends(SingleChange)]
