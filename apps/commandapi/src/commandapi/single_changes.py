"""Changes of single platforms and commands, which are safe to send again (`Idempotency-Key`)."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Depends, Request, Response, status
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from bulkport.app import Bulkport
from bulkport.fastapi.bulk_description import IDEMPOTENCY_KEY
from bulkport.fastapi.idempotent import Keep
from commandapi.tenancy import CurrentTenant, Sessions

SAFE_TO_REPEAT: Final[dict[str, Any]] = {"parameters": [IDEMPOTENCY_KEY]}
"""What the description of an operation says of the header."""
REPEATED_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    409: {"description": "A request with this `Idempotency-Key` is under way."},
    422: {"description": "The `Idempotency-Key` was used for another request."},
}


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
        """201 with what was created, or 204."""

        async def in_transaction(keep: Keep) -> Mapping[str, Any]:
            async with self._sessions.begin() as session:
                created = await change(session)
                await session.flush()
                answer = {} if created is None else _answer(created)
                pooled = await (await session.connection()).get_raw_connection()
                assert pooled.driver_connection is not None
                await keep(pooled.driver_connection, answer)
            return answer

        answer = await self._once(in_transaction)
        headers = {"Idempotent-Replayed": "true"} if self._once.is_replayed else {}
        if not answer:
            return Response(status_code=status.HTTP_204_NO_CONTENT, headers=headers)
        headers["Location"] = answer["location"]
        return JSONResponse(answer["body"], status_code=status.HTTP_201_CREATED, headers=headers)


def _answer(created: Created) -> dict[str, Any]:
    return {"location": created.location, "body": created.view.model_dump(mode="json", by_alias=True)}


Changing = Annotated[SingleChange, Depends(SingleChange)]
