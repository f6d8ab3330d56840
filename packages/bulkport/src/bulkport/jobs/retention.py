"""How long finished background jobs are kept."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Final

from bulkport.jobs.job import JobState


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """How long jobs are kept after they have ended, by the state in which they did; None: for good.

    What has been pruned cannot be found, looked at or requeued any more. Jobs of a batch that has not ended, and those
    that a continuation still waits for, stay until then.

    Raises
    ------
    ValueError
        A time is negative.
    """

    succeeded: timedelta | None = timedelta(days=7)
    failed: timedelta | None = timedelta(days=30)
    cancelled: timedelta | None = timedelta(days=7)

    def __post_init__(self) -> None:
        if any(age < timedelta(0) for _, age in self.ages()):
            raise ValueError("finished jobs cannot be kept for less than no time")

    def ages(self) -> Iterator[tuple[JobState, timedelta]]:
        """The states whose jobs are pruned, with how long they are kept."""
        for field in fields(self):
            age = getattr(self, field.name)
            if age is not None:
                yield JobState(field.name), age


DEFAULT_RETENTION: Final = RetentionPolicy()
