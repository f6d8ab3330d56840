"""The retries page: failed jobs waiting for their next attempt."""

from collections.abc import Mapping
from typing import Any

from bulkport.dashboard.core.component import Component
from bulkport.dashboard.core.masking import Masking
from bulkport.dashboard.core.page import Page, PageRequest, Section
from bulkport.dashboard.pages.job_format import AS_THEY_ARE, JobFormat
from bulkport.dashboard.pages.job_lists import JobLists, address_without_filters
from bulkport.jobs.calls import JobCalls
from bulkport.jobs.job import JobState


def retries_component(jobs: JobCalls, masking: Masking, job_format: JobFormat = AS_THEY_ARE) -> Component:
    """The page. Its buttons are the actions of `jobs_component`."""
    lists = JobLists(jobs, masking, job_format)

    async def load(request: PageRequest) -> Mapping[str, Any]:
        keys = ("job", "queue", "failures", "last", "next")
        listed = await lists.read(request, "retries", keys, state=JobState.RETRYING)
        return {
            "http_status": 400 if listed.found.problems else 200,
            "list": listed,
            "without_filters": address_without_filters(request),
        }

    return Component(
        section=Section("retries", "Retries", "retries", JobState.RETRYING.value, is_alarming=True),
        pages=[Page("retries", "retries.html", load, section="retries", follows_counts=True)],
    )
