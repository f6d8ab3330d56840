"""How a run of a job ended, as it is written down."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from bulkport.jobs.job import JSONValue
from bulkport.jobs.procrastinate_engine.error_text import message_of, traceback_of, type_of


class Ending(StrEnum):
    """The ways in which a run ends; see `background_end_run_v1`."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """For good."""
    RETRY = "retry"
    """In an error; another attempt follows."""
    AGAIN = "again"
    """The task asked to run again."""
    HANDED_BACK = "handed_back"
    """The worker shuts down."""
    LOST = "lost"
    """Nobody knows: the worker no longer ran it."""
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run ended."""

    ending: Ending
    seconds: float = 0.0
    """How long it took."""
    result: JSONValue = None
    note: str | None = None
    """For the job's history."""
    error_type: str | None = None
    error: str | None = None
    traceback: str | None = None
    delay_seconds: float = 0.0
    """Wait before the next run, if one follows."""
    priority: int | None = None
    """The job's priority from now on; None: as before."""

    @classmethod
    def of_error(cls, ending: Ending, error: BaseException, seconds: float, delay_seconds: float = 0.0) -> Self:
        """A run that ended in an error."""
        return cls(
            ending,
            seconds,
            error_type=type_of(error),
            error=message_of(error) or None,
            traceback=traceback_of(error),
            delay_seconds=delay_seconds,
        )
