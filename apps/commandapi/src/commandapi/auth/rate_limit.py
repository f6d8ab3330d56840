"""How many requests a user may send: a token bucket for each, in this server process.

Answers say how many are left (draft-ietf-httpapi-ratelimit-headers): `RateLimit-Policy: "user";q=180000;w=60` and
`RateLimit: "user";r=179999;t=0`.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from bulkport.errors import TooManyRequests
from bulkport.fastapi.response_headers import add_response_header

_MOST_USERS: Final = 10_000
"""Users whose buckets are remembered; a bucket that is forgotten is full."""


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
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._policy = f'"user";q={requests};w={math.ceil(seconds)}'

    def take(self, user_id: str) -> None:
        """Count a request, and have its answer tell how many more there may be.

        Raises
        ------
        TooManyRequests
            There were too many.
        """
        now = self._clock()
        left, at = self._buckets.pop(user_id, (float(self._requests), now))
        left = min(self._requests, left + (now - at) * self._per_second)
        is_allowed = left >= 1
        if is_allowed:
            left -= 1
        self._buckets[user_id] = (left, now)
        if len(self._buckets) > _MOST_USERS:
            self._buckets.popitem(last=False)
        wait = 0 if left >= 1 else math.ceil((1 - left) / self._per_second)
        add_response_header("RateLimit-Policy", self._policy)
        add_response_header("RateLimit", f'"user";r={int(left)};t={wait}')
        if not is_allowed:
            raise TooManyRequests(
                f"You have sent more than {self._requests:,} requests in {self._seconds:g} seconds; "
                f"try again in {wait} s.",
                retry_after=wait,
            )
