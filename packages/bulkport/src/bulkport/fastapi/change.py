"""Makes each requested change in one transaction with its response, so that it can be retried (`Idempotency-Key`)."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi.responses import JSONResponse
from psycopg import AsyncConnection
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from bulkport.database.row_security import Connections
from bulkport.fastapi.bulk_description import IDEMPOTENCY_KEY
from bulkport.fastapi.idempotent import Keep, Once
from bulkport.identifiers import UserId
from bulkport.imports.runtime import ImportRuntime


@dataclass(frozen=True, slots=True)
class Answer:
    """What a change is answered."""

    status: int = 204
    body: BaseModel | None = None
    location: str | None = None
    """Path of what was created."""

    def to_json(self) -> dict[str, Any]:
        """As it is kept for requests that come again; for `response_of`."""
        body = None if self.body is None else self.body.model_dump(mode="json", by_alias=True)
        return {"status": self.status, "body": body, "location": self.location}


Make = Callable[[AsyncConnection[Any]], Awaitable[Answer]]
"""Makes a change in the connection's transaction."""


async def change_once(
    request: Request,
    user_id: UserId,
    runtime: ImportRuntime,
    make: Make,
    *,
    pool: Connections | None = None,
    require: Callable[[], Awaitable[object]] | None = None,
    makes_room: bool = False,
) -> Response:
    """Make a change in one transaction, unless a request with this one's `Idempotency-Key` has made it.

    Parameters
    ----------
    pool:
        Whose connections the change is made on; None: the user's.
    require:
        Raises where the change must not be made; called before a connection is taken.
    makes_room:
        Whether it is made also where the disk is too full for more.

    Raises
    ------
    IdempotencyKeyInUse, IdempotencyKeyReused
        As `Once`; and what `make` raises, after which the key is free again.
    """
    connections = runtime.of_user(user_id) if pool is None else pool

    async def change(keep: Keep) -> Mapping[str, Any]:
        if require is not None:
            await require()
        async with connections.connection() as connection, connection.transaction():
            answer = (await make(connection)).to_json()
            await keep(connection, answer)
        return answer

    once = Once(request, user_id, runtime, makes_room=makes_room)
    return response_of(await once(change), is_replayed=once.is_replayed)


def response_of(answer: Mapping[str, Any], *, is_replayed: bool) -> Response:
    """The response to a request for a change, from `Answer.to_json`."""
    headers = {"Idempotent-Replayed": "true"} if is_replayed else {}
    if answer["location"] is not None:
        headers["Location"] = answer["location"]
    if answer["body"] is None:
        return Response(status_code=answer["status"], headers=headers)
    return JSONResponse(answer["body"], status_code=answer["status"], headers=headers)


def safe_to_repeat(openapi: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """OpenAPI additions of such an operation, with the header."""
    described = dict(openapi or {})
    return {**described, "parameters": [*described.get("parameters", ()), IDEMPOTENCY_KEY]}
