"""Batches: their progress, and actions on failed or waiting jobs."""

from collections.abc import Mapping
from typing import Any, Final

from bulkport.dashboard.core.language import t
from bulkport.dashboard.core.page import Page, PageNotFound, PageRequest
from bulkport.dashboard.core.table import Column, Paging
from bulkport.identifiers import MAX_BIGINT
from bulkport.jobs.calls import JobCalls
from bulkport.jobs.job import JobState

_COLUMNS: Final = (
    Column("Batch"),
    Column("State"),
    Column("Progress"),
    Column("Failed", is_number=True),
    Column("Created", is_number=True, is_minor=True),
    Column(""),
)


def batch_pages(jobs: JobCalls) -> list[Page]:
    """The list and the page of one. Their buttons are the actions of `jobs_component`."""

    async def load(request: PageRequest) -> Mapping[str, Any]:
        size = Paging.size_of(request, 25)
        before = request.query.number("cursor", 0, least=0, most=MAX_BIGINT) or None
        found = await jobs.batches(before=before, limit=size + 1)
        shown = found[:size]
        next_cursor = str(shown[-1].batch_id) if len(found) > size else None
        return {"batches": shown, "columns": _COLUMNS, "paging": Paging(size, next_cursor)}

    async def load_one(request: PageRequest) -> Mapping[str, Any]:
        number: int = request.params["batch_id"]
        batch = await jobs.batch_status(number) if number <= MAX_BIGINT else None
        if batch is None:
            raise PageNotFound(t("Batch {number} not found.", number=number))
        return {"batch": batch, "failed": batch.states.get(JobState.FAILED, 0)}

    return [
        Page("batches", "batches.html", load, section="jobs"),
        Page("batches/{batch_id:int}", "batch.html", load_one, section="jobs"),
    ]
