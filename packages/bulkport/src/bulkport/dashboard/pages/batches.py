"""A batch: how far its jobs have come, and acting on those of them that failed or wait."""

from collections.abc import Mapping
from typing import Any

from bulkport.dashboard.core.language import t
from bulkport.dashboard.core.page import Page, PageNotFound, PageRequest
from bulkport.dashboard.pages.managed_jobs import ManagedJobs
from bulkport.identifiers import MAX_BIGINT
from bulkport.jobs.job import JobState


def batch_page(jobs: ManagedJobs) -> Page:
    """The page. Its buttons are the actions of `jobs_component`."""

    async def load(request: PageRequest) -> Mapping[str, Any]:
        number: int = request.params["batch_id"]
        batch = await jobs.batch_status(number) if number <= MAX_BIGINT else None
        if batch is None:
            raise PageNotFound(t("Batch {number} not found.", number=number))
        return {"batch": batch, "failed": batch.states.get(JobState.FAILED, 0)}

    return Page("batches/{batch_id:int}", "batch.html", load, section="jobs")
