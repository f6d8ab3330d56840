"""When a background job runs again: after an error (`RetryPolicy`) or because it asks to (`RetryLater`)."""

from dataclasses import dataclass
from typing import Final

from bulkport.backoff import wait_after

_LONGEST_WAIT_SECONDS: Final = 1e9


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, and after what delay, a failed attempt is repeated.

    The wait doubles from `base_seconds` up to `max_seconds`; `jitter` takes a random part of it away, so that jobs
    that failed together do not come back together.

    Examples
    --------
    >>> [RetryPolicy(base_seconds=1, max_seconds=5, jitter=0).delay_after(n) for n in (1, 2, 3, 4)]
    [1.0, 2.0, 4.0, 5.0]
    """

    max_attempts: int = 10
    """Attempts that may end in an error before the job permanently fails; 1 means no retry."""
    base_seconds: float = 1.0
    """Wait after the first failed attempt."""
    max_seconds: float = 60.0
    """Longest wait."""
    jitter: float = 0.2
    """Jitter: largest share by which a delay is shortened at random, 0 to 1."""
    final: tuple[type[BaseException], ...] = ()
    """Exceptions that are never retried; see also `FinalError`."""
    max_lost_runs: int | None = 5
    """Runs that may end with a dead worker, as after running out of memory, before the job fails permanently. They are
    no failed attempts; None: any number."""

    def __post_init__(self) -> None:
        # Written positively, so that NaN is rejected too.
        waits = self.base_seconds >= 0 and self.max_seconds >= 0 and 0 <= self.jitter <= 1
        if self.max_attempts < 1 or not waits:
            raise ValueError(f"not a usable retry policy: {self}")

    def allows_attempt_after(self, failures: int, error: BaseException | None = None) -> bool:
        """Whether another attempt is made after `failures` attempts have ended in an error, the last one in `error`."""
        return failures < self.max_attempts and not isinstance(error, (FinalError, *self.final))

    def delay_after(self, failures: int) -> float:
        """Seconds to wait after the `failures`-th failed attempt (1-based)."""
        longest = min(self.max_seconds, _LONGEST_WAIT_SECONDS)
        return wait_after(failures, first=self.base_seconds, longest=longest, jitter=self.jitter)


DEFAULT_RETRY = RetryPolicy()
"""What a task has that states none."""

NO_RETRY = RetryPolicy(max_attempts=1)
"""The first error is final."""


class FinalError(Exception):
    """Raised by a task to fail its job now, even if attempts are left."""


class RetryLater(Exception):
    """Raised by a task to run the same job again later.

    It keeps its id and its arguments, counts as no failed attempt and is not logged as an error. A long task
    uses it to give way to others, or to wait for something.

    Parameters
    ----------
    delay_seconds
        Wait before the job may start again, at most some 30 years; 0 puts it back in its queue at once.
    lower_priority
        Take one off the job's priority, so that jobs queued meanwhile at its former priority go first. Long jobs
        that do so after each slice of work share the workers evenly.
    """

    def __init__(self, delay_seconds: float = 0.0, lower_priority: bool = False) -> None:
        self.delay_seconds = min(max(0.0, delay_seconds), _LONGEST_WAIT_SECONDS)
        self.lower_priority = lower_priority
        super().__init__(f"run again in {self.delay_seconds} s")
