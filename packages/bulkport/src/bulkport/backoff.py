"""Exponential backoff between attempts, with a maximum and jitter."""

import random
from typing import Final

_MOST_DOUBLINGS: Final = 62  # 2.0**1024 overflows


def wait_after(failures: int, *, first: float, longest: float, jitter: float = 0.2) -> float:
    """Seconds to wait after so many failures in a row (1 or more).

    Parameters
    ----------
    first, longest
        Seconds after the first failure, and at most.
    jitter
        Largest share of the wait that chance takes away, 0 to 1: those who failed together do not come back together.
    """
    wait = min(longest, first * 2.0 ** min(failures - 1, _MOST_DOUBLINGS))
    return wait * (1 - jitter * random.random())  # noqa: S311 - spreads load, guards nothing


class Backoff:
    """The waits of one who tries, or looks, again and again. For parameters see `wait_after`."""

    def __init__(self, first: float, longest: float, *, jitter: float = 0.5) -> None:
        self._first = first
        self._longest = longest
        self._jitter = jitter
        self._failures = 0

    def next_delay(self) -> float:
        """Seconds to wait now."""
        self._failures += 1
        return wait_after(self._failures, first=self._first, longest=self._longest, jitter=self._jitter)

    def reset(self) -> None:
        """Start again at the first wait."""
        self._failures = 0
