"""Carries out a request once, however often it is sent (`Idempotency-Key`)."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import PoolTimeout
from starlette.datastructures import Headers
from starlette.requests import Request

from bulkport.database.row_security import Connections
from bulkport.errors import BadRequest, IdempotencyKeyReused, ServiceUnavailable, TooManyRequests
from bulkport.fastapi.headers import field_value
from bulkport.fastapi.request_body import RequestBody, small_fingerprint
from bulkport.identifiers import UserId
from bulkport.imports.accepted import AcceptedImport
from bulkport.imports.body.upload import OnAccept
from bulkport.imports.idempotency import LEASE_SECONDS, IdempotencyKey
from bulkport.imports.runtime import ImportRuntime

# A structured-field string (RFC 9651 §3.3.3), as the draft requires, or the bare key that most clients send.
_KEY: Final = re.compile(r'"([\x20\x21\x23-\x5b\x5d-\x7e]{1,255})"|([\x21\x23-\x7e]{1,255})')

_PASSING: Final = (psycopg.Error, PoolTimeout, ServiceUnavailable, TooManyRequests)
"""There is no connection for a moment, or none for this user."""

Accept = Callable[[RequestBody, OnAccept | None], Awaitable[AcceptedImport]]
Keep = Callable[[AsyncConnection[Any], Mapping[str, Any]], Awaitable[None]]
"""Keeps an answer, in the transaction of the change that it reports."""


@dataclass(frozen=True, slots=True)
class Received:
    """An import that was accepted, by this request or by an earlier one with its key."""

    accepted: AcceptedImport
    is_replayed: bool = False


def parse_idempotency_key(headers: Headers) -> str | None:
    """The request's `Idempotency-Key`, or None.

    Raises
    ------
    BadRequest
        It is empty, longer than 255 characters, or has others than printable ASCII.
    """
    if "idempotency-key" not in headers:
        return None
    # An empty one is refused too: a client that means to be safe must not take it for a key.
    found = _KEY.fullmatch((field_value(headers, "idempotency-key") or "").strip())
    if found is None:
        raise BadRequest("Idempotency-Key must be 1 to 255 printable ASCII characters, such as a UUID.")
    return found[1] or found[2]


async def receive_once(
    request: Request, pool: Connections, user_id: UserId, resource: str, accept: Accept, *, retention_seconds: float
) -> Received:
    """Accept the request's body, unless a request with its `Idempotency-Key` was accepted before.

    Parameters
    ----------
    accept:
        Takes in the body, and calls what it is given in the transaction that accepts the import.
    retention_seconds:
        How long an answer is kept for requests that come again.

    Raises
    ------
    IdempotencyKeyInUse
        The first request with the key is still being received.
    IdempotencyKeyReused
        The first request with the key was another one.
    """
    text = parse_idempotency_key(request.headers)
    if text is None:
        return Received(await accept(RequestBody(request), None))
    key = IdempotencyKey(user_id, resource, text, retention_seconds=retention_seconds)
    first = await key.claim(pool)
    if first is not None:
        again = RequestBody(request, fingerprints=True)
        await again.drain()
        if again.fingerprint != first.fingerprint:
            raise IdempotencyKeyReused
        return Received(AcceptedImport.of_json(first.answer), is_replayed=True)

    body = RequestBody(request, fingerprints=True)

    async def write_answer(connection: AsyncConnection[Any], accepted: AcceptedImport) -> None:
        await key.write_answer(connection, accepted.to_json(), body.fingerprint)

    async with _held(key, pool, body):
        return Received(await accept(body, write_answer))


class Once:
    """Makes the changes of one request of a user once, however often it is sent.

    A key belongs to the user, the method and the path. Of a request that has none nothing is kept.

    Parameters
    ----------
    request:
        Its body was read by `JsonBody`, or it has none.
    makes_room:
        Whether the change is made also where the disk is too full for more; a `DELETE` is.
    """

    def __init__(self, request: Request, user_id: UserId, runtime: ImportRuntime, *, makes_room: bool = False) -> None:
        self._makes_room = makes_room or request.method == "DELETE"
        self._request = request
        self._user_id = user_id
        self._runtime = runtime
        self.is_replayed = False
        """Whether the answer is the one that an earlier request was given."""

    async def __call__(self, change: Callable[[Keep], Awaitable[Mapping[str, Any]]]) -> Mapping[str, Any]:
        """Make the change, unless a request with this one's `Idempotency-Key` made it before.

        Parameters
        ----------
        change:
            Makes it, and gives the answer as JSON: in the transaction of the change, to what it is called with.

        Returns
        -------
        The answer of `change`, or what it was when the first request with the key was answered.

        Raises
        ------
        BadRequest
            The key is none.
        IdempotencyKeyInUse
            The first request with the key is still under way.
        IdempotencyKeyReused
            The first request with the key was another one.
        InsufficientStorage
            The disk is too full for more.
        """
        request, text = self._request, parse_idempotency_key(self._request.headers)
        if not self._makes_room:
            await self._runtime.intake.admission.require_disk()
        if text is None:
            return await change(_keep_nothing)
        pool, fingerprint = self._runtime.of_user(self._user_id), small_fingerprint(request)
        key = IdempotencyKey(
            self._user_id,
            f"{request.method} {request.url.path}",
            text,
            retention_seconds=self._runtime.intake.limits.idempotency_seconds,
        )
        first = await key.claim(pool)
        if first is not None:
            if first.fingerprint != fingerprint:
                raise IdempotencyKeyReused
            self.is_replayed = True
            return first.answer

        async def keep(connection: AsyncConnection[Any], answer: Mapping[str, Any]) -> None:
            await key.write_answer(connection, answer, fingerprint)

        async with _held(key, pool):
            return await change(keep)


async def _keep_nothing(connection: AsyncConnection[Any], answer: Mapping[str, Any]) -> None:
    """The response will not be requested again."""


@asynccontextmanager
async def _held(key: IdempotencyKey, pool: Connections, body: RequestBody | None = None) -> AsyncIterator[None]:
    """Hold a key while its request runs, and release it if the request is rejected."""
    try:
        async with _leased(key, pool, body):
            yield
    except BaseException:
        # An answer that was committed stays, even when its commit's success did not reach us.
        with contextlib.suppress(*_PASSING):
            await key.release(pool)
        raise


@asynccontextmanager
async def _leased(key: IdempotencyKey, pool: Connections, body: RequestBody | None) -> AsyncIterator[None]:
    """Renew a key's lease while its request runs, whether its body is arriving or being stored.

    A body of which nothing has come for a while may be that of a client whose connection broke unseen, and who sends it
    again: its lease runs out.
    """

    async def renew() -> None:
        while True:
            await asyncio.sleep(LEASE_SECONDS / 4)
            if body is not None and body.silent_seconds > LEASE_SECONDS / 2:
                continue
            # An expired lease matters only if another request took the key, which acceptance detects.
            with contextlib.suppress(*_PASSING):
                await key.renew(pool)

    renewing = asyncio.create_task(renew())
    try:
        yield
    finally:
        renewing.cancel()
