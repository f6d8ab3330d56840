"""The states of an import job and of its chunks."""

from enum import StrEnum


class ImportStatus(StrEnum):
    """What the client sees as `status`."""

    PENDING = "Pending"
    PROCESSING = "Processing"
    COMPLETED = "Completed"
    """No row failed."""
    PARTIAL_SUCCESS = "PartialSuccess"
    """Some rows failed."""
    FAILED = "Failed"
    """All rows failed, any row failed under strict handling, or a fatal error after the last attempt."""
    CANCELLED = "Cancelled"
    """Its owner, an operator or the application stopped it. Rows of chunks that were finished before are there, unless
    handling was strict."""

    @property
    def is_final(self) -> bool:
        """Whether the job has settled: a final status never changes."""
        return self not in (ImportStatus.PENDING, ImportStatus.PROCESSING)

    @classmethod
    def of_counts(cls, *, success_count: int, failure_count: int) -> "ImportStatus":
        """The final status of a lenient job whose every row was processed."""
        if failure_count == 0:
            return cls.COMPLETED
        return cls.PARTIAL_SUCCESS if success_count else cls.FAILED


class ListedStatus(StrEnum):
    """The status as lists and details of imports show it: that of `ImportStatus`, and finer where it is."""

    SCHEDULED = "Scheduled"
    """`Pending` until the time that the client set."""
    PENDING = "Pending"
    PULLING = "Pulling"
    """`Processing` while a worker fetches the body."""
    PROCESSING = "Processing"
    COMPLETED = "Completed"
    PARTIAL_SUCCESS = "PartialSuccess"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


class CancellationAsker(StrEnum):
    """Who asks for an import to be cancelled."""

    OWNER = "owner"
    OPERATOR = "operator"
    APPLICATION = "application"


class ChunkState(StrEnum):
    """The state of a chunk."""

    PENDING = "pending"
    CHECKED = "checked"
    """Strict handling only: its rows are valid or reported, and none is written yet."""
    WAITING = "waiting"
    """Some of its rows wait for rows of other chunks, which they refer to; the others are written."""
    DONE = "done"
