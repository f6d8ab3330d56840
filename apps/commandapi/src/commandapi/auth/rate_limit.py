"""Limits the rate of each user's requests with a token bucket that all server processes share.

The buckets are rows in PostgreSQL. A process takes tokens out of one by the hundredth part of it, so that most requests
are counted in memory; tokens that it does not use within some seconds are lost to the user, never doubled.

Answers say how many are left (draft-ietf-httpapi-ratelimit-headers): `RateLimit-Policy: "user";q=180000;w=60` and
`RateLimit: "user";r=179999;t=0`.
"""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import psycopg

from bulkport.errors import TooManyRequests
from bulkport.fastapi.response_headers import add_response_header
from bulkport.pools import AsyncPool
from commandapi.auth.queries import TAKE_REQUESTS

_MAX_USERS: Final = 10_000
"""Users whose tokens are remembered in a process; those of others are taken anew."""
_LEASE_SECONDS: Final = 10.0
"""How long a process may spend tokens that it has taken."""
_LEASES: Final = 100
"""Parts in which a bucket is taken."""


@dataclass(slots=True)
class _Lease:
    """What a process knows of one user's bucket."""

    tokens: int = 0
    """Requests that it may still let through."""
    void_at: float = 0.0
    """When it may no longer."""
    next_at: float = 0.0
    """When there can be more in the bucket."""
    shared: float = 0.0
    """Tokens that were left in the bucket."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def is_over(self, now: float) -> bool:
        """Whether to ask the bucket, which is not asked again while known to be empty."""
        return now >= (self.void_at if self.tokens else self.next_at)


class RateLimiter:
    """Counts the requests of each user.

    Parameters
    ----------
    requests, seconds:
        So many in so long, at most; as many at once.
    """

    def __init__(self, requests: int, seconds: float = 60.0, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._requests = requests
        self._seconds = seconds
        self._per_second = requests / seconds
        self._clock = clock
        self._leases: OrderedDict[str, _Lease] = OrderedDict()
        self._policy = f'"user";q={requests};w={math.ceil(seconds)}'
        self.refused = 0
        """Requests that were refused since the start."""

    async def take(self, user_id: str, pool: AsyncPool) -> None:
        """Count a request, and have its answer say how many are left.

        Parameters
        ----------
        pool:
            Where buckets are. While PostgreSQL takes no changes, the process has a share of its own.

        Raises
        ------
        TooManyRequests
            There were too many.
        """
        lease = self._leases.setdefault(user_id, _Lease())
        self._leases.move_to_end(user_id)
        if len(self._leases) > _MAX_USERS:
            self._leases.popitem(last=False)
        if lease.is_over(self._clock()):
            async with lease.lock:
                if lease.is_over(self._clock()):
                    await self._renew(lease, user_id, pool)
        is_allowed = lease.tokens > 0
        if is_allowed:
            lease.tokens -= 1
        left = lease.tokens + lease.shared
        wait = 0 if left >= 1 else math.ceil((1 - left) / self._per_second)
        add_response_header("RateLimit-Policy", self._policy)
        add_response_header("RateLimit", f'"user";r={int(left)};t={wait}')
        if not is_allowed:
            self.refused += 1
            wait = max(1, wait)
            raise TooManyRequests(
                f"You have sent more than {self._requests:,} requests in {self._seconds:g} seconds; "
                f"try again in {wait} s.",
                retry_after=wait,
            )

    async def _renew(self, lease: _Lease, user_id: str, pool: AsyncPool) -> None:
        wanted = max(1, self._requests // _LEASES)
        values = {"user_id": user_id, "most": self._requests, "rate": self._per_second, "wanted": wanted}
        try:
            async with pool.connection() as connection:
                row = await (await connection.execute(TAKE_REQUESTS, values)).fetchone()
        except (psycopg.errors.ReadOnlySqlTransaction, psycopg.errors.FeatureNotSupported):  # a standby says the latter
            row = (max(1, int(self._per_second * _LEASE_SECONDS)), 0.0)
        assert row is not None
        lease.tokens, lease.shared = row
        now = self._clock()
        lease.void_at = now + _LEASE_SECONDS
        lease.next_at = now + max(0.0, 1 - lease.shared) / self._per_second
