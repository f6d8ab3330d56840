"""Receiving a body once, however often its request comes (`Idempotency-Key`)."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
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
from bulkport.fastapi.request_body import RequestBody
from bulkport.identifiers import UserId
from bulkport.imports.accepted import AcceptedImport
from bulkport.imports.idempotency import LEASE_SECONDS, IdempotencyKey
from bulkport.imports.upload import OnAccept

# A structured-field string (RFC 9651 §3.3.3), as the draft asks for, or what most clients send: the bare key.
_KEY: Final = re.compile(r'"([\x20\x21\x23-\x5b\x5d-\x7e]{1,255})"|([\x21\x23-\x7e]{1,255})')

_PASSING: Final = (psycopg.Error, PoolTimeout, ServiceUnavailable, TooManyRequests)
"""There is no connection for a moment, or none for this user."""

Accept = Callable[[RequestBody, OnAccept | None], Awaitable[AcceptedImport]]


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
        return Received(first.accepted, is_replayed=True)

    body = RequestBody(request, fingerprints=True)

    async def write_answer(connection: AsyncConnection[Any], accepted: AcceptedImport) -> None:
        await key.write_answer(connection, accepted, body.fingerprint)

    try:
        async with _leased(key, pool):
            return Received(await accept(body, write_answer))
    except BaseException:
        # An answer that was committed stays, even when its commit's success did not reach us.
        with contextlib.suppress(*_PASSING):
            await key.release(pool)
        raise


@asynccontextmanager
async def _leased(key: IdempotencyKey, pool: Connections) -> AsyncIterator[None]:
    """Renew a key's lease for as long as its request goes on, whether its body arrives or is being stored."""

    async def renew() -> None:
        while True:
            await asyncio.sleep(LEASE_SECONDS / 4)
            # A lease that ran out costs nothing unless another request took the key; the acceptance finds that out.
            with contextlib.suppress(*_PASSING):
                await key.renew(pool)

    renewing = asyncio.create_task(renew())
    try:
        yield
    finally:
        renewing.cancel()
