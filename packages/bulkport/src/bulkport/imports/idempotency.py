"""Idempotency keys: a repeated request gets the stored response and does no work twice.

A key belongs to one user and one resource. The first request with it takes it, for a lease that it renews until it
is answered; its answer is written in the transaction that does its work, such as accepting an import. So of any number
of requests with one key, also at one moment and also when a server dies, one is carried out
(draft-ietf-httpapi-idempotency-key-header-07).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

from psycopg import AsyncConnection

from bulkport.database.row_security import Connections
from bulkport.errors import IdempotencyKeyInUse
from bulkport.identifiers import UserId

LEASE_SECONDS: Final = 12
"""Lease of a key: how long a request whose server died blocks the next one. A live request renews it every quarter."""

# The request of a key whose lease expired was never carried out; a key past its retention counts as unused.
_CLAIM: Final = """
    INSERT INTO bulkport.idempotency_keys AS k (user_id, resource, key, token, leased_until)
    VALUES (%(user_id)s, %(resource)s, %(key)s, %(token)s, clock_timestamp() + make_interval(secs => %(lease)s))
    ON CONFLICT (user_id, resource, key) DO UPDATE SET
        token = excluded.token, leased_until = excluded.leased_until, created_at = clock_timestamp(),
        fingerprint = NULL, answer = NULL
    WHERE (k.answer IS NULL AND k.leased_until < clock_timestamp())
       OR k.created_at < clock_timestamp() - make_interval(secs => %(retention_seconds)s)
    RETURNING token
"""

_SELECT: Final = """
    SELECT fingerprint, answer FROM bulkport.idempotency_keys
    WHERE user_id = %s AND resource = %s AND key = %s
"""

_RENEW: Final = """
    UPDATE bulkport.idempotency_keys SET leased_until = clock_timestamp() + make_interval(secs => %(lease)s)
    WHERE user_id = %(user_id)s AND resource = %(resource)s AND key = %(key)s AND token = %(token)s
"""

_ANSWER: Final = """
    UPDATE bulkport.idempotency_keys SET fingerprint = %(fingerprint)s, answer = %(answer)s
    WHERE user_id = %(user_id)s AND resource = %(resource)s AND key = %(key)s AND token = %(token)s
"""

_RELEASE: Final = """
    DELETE FROM bulkport.idempotency_keys
    WHERE user_id = %(user_id)s AND resource = %(resource)s AND key = %(key)s AND token = %(token)s
      AND answer IS NULL
"""

PRUNE: Final = """
    DELETE FROM bulkport.idempotency_keys WHERE ctid IN (
        SELECT ctid FROM bulkport.idempotency_keys
        WHERE created_at < clock_timestamp() - make_interval(secs => %(retention_seconds)s) AND leased_until < now()
        LIMIT %(limit)s
    )
"""


@dataclass(frozen=True, slots=True)
class FirstAnswer:
    """What the first request with a key was answered."""

    fingerprint: bytes
    """Digest of that request's body and of all that says how to read it."""
    answer: Mapping[str, Any]


class IdempotencyKey:
    """The key of one request, taken for it.

    Parameters
    ----------
    retention_seconds:
        How long an answer is kept for requests that come again.
    """

    def __init__(self, user_id: UserId, resource: str, key: str, *, retention_seconds: float) -> None:
        self._token: UUID = uuid4()
        self._parameters: dict[str, Any] = {
            "user_id": user_id,
            "resource": resource,
            "key": key,
            "token": self._token,
            "lease": LEASE_SECONDS,
            "retention_seconds": retention_seconds,
        }

    async def claim(self, pool: Connections) -> FirstAnswer | None:
        """Take the key for this request; or the answer that the first request with it was given.

        Raises
        ------
        IdempotencyKeyInUse
            The first request with it is still being received.
        """
        values = self._parameters
        async with pool.connection() as connection:
            if await (await connection.execute(_CLAIM, values)).fetchone() is not None:
                return None
            named = (values["user_id"], values["resource"], values["key"])
            row = await (await connection.execute(_SELECT, named)).fetchone()
        if row is None or row[1] is None:
            raise IdempotencyKeyInUse
        return FirstAnswer(bytes(row[0]), row[1])

    async def renew(self, pool: Connections) -> None:
        """Keep the key for another lease."""
        async with pool.connection() as connection:
            await connection.execute(_RENEW, self._parameters)

    async def write_answer(
        self, connection: AsyncConnection[Any], answer: Mapping[str, Any], fingerprint: bytes
    ) -> None:
        """Store the response to this request in the transaction that does its work.

        Parameters
        ----------
        answer:
            What there is to say again, as JSON.

        Raises
        ------
        IdempotencyKeyInUse
            The lease ran out, and another request has taken the key; the transaction must roll back.
        """
        values = {**self._parameters, "fingerprint": fingerprint, "answer": json.dumps(answer)}
        cursor = await connection.execute(_ANSWER, values)
        if not cursor.rowcount:
            raise IdempotencyKeyInUse

    async def release(self, pool: Connections) -> None:
        """Give the key back after a request that was refused, so that a mended one may use it."""
        async with pool.connection() as connection:
            await connection.execute(_RELEASE, self._parameters)
