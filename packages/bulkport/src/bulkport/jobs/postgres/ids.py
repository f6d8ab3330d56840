"""Ids of jobs as the engine has them: positive numbers."""

from bulkport.identifiers import MAX_BIGINT, BackgroundJobId


def number_of(job_id: str) -> int | None:
    """The number for an id that may come from outside; None when no job can have it.

    Raises
    ------
    TypeError
        It is no text.
    """
    if not isinstance(job_id, str):
        raise TypeError(f"the id of a job is text: {job_id!r}")
    if not (job_id.isascii() and job_id.isdecimal()):
        return None
    number = int(job_id) if len(job_id) <= len(str(MAX_BIGINT)) else 0
    return number if 0 < number <= MAX_BIGINT else None


def job_id_of(number: int) -> BackgroundJobId:
    """The id for a number of the engine's."""
    return BackgroundJobId(str(number))
