"""Decides when a watched page need not be polled."""

import time
from collections.abc import Callable
from typing import Final

from bulkport.dashboard.core.page import Counts

MAX_SECONDS: Final = 3.0
"""So long a page is not looked at while its counts stay."""


class Throttle:
    """Of one page: whether it is unchanged, as far as counts show."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts: Counts | None = None
        self._looked_at = 0.0

    def may_skip(self, counts: Counts) -> bool:
        """Whether there is no need to look: nothing runs, the counts are those of the last look, and that is not old.

        If not, it is taken that there will be a look now.
        """
        now = self._clock()
        if counts == self._counts and not counts.tell_of_work and now - self._looked_at < MAX_SECONDS:
            return True
        self._counts, self._looked_at = counts, now
        return False
