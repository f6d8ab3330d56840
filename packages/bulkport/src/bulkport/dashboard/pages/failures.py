"""Failures grouped by task, error and message: what is wrong, how often, since when; and acting on all of a group."""

from collections.abc import Mapping
from typing import Any, Final

from bulkport.dashboard.core.cache import TTLCache
from bulkport.dashboard.core.component import Component
from bulkport.dashboard.core.page import Page, PageRequest, Section
from bulkport.dashboard.core.table import Column
from bulkport.dashboard.pages.failure_groups import SAMPLE, FailureGroups, read_failure_groups
from bulkport.jobs.inspect import Looking
from bulkport.jobs.job import JobState

_COLUMNS: Final = (
    Column("Error"),
    Column("Jobs", is_number=True),
    Column("Trend", is_minor=True),
    Column("First", is_number=True, is_minor=True),
    Column("Last", is_number=True),
    Column(""),
)
_CACHE_SECONDS: Final = 2.0


def failures_component(jobs: Looking) -> Component:
    """The page. Its buttons are the actions of `jobs_component`."""

    async def read(_: None) -> FailureGroups:
        return await read_failure_groups(jobs)

    cache = TTLCache(read, seconds=_CACHE_SECONDS)

    async def load(request: PageRequest) -> Mapping[str, Any]:
        text = request.query.get("text").lower()
        found = await cache.get(None)
        return {
            "found": found,
            "groups": [
                group for group in found.groups if text in f"{group.task} {group.error_type}: {group.message}".lower()
            ],
            "columns": _COLUMNS,
            "sample": SAMPLE,
        }

    return Component(
        section=Section("failures", "Failures", "failures", JobState.FAILED.value, is_alarming=True),
        pages=[Page("failures", "failures.html", load, section="failures", follows_counts=True)],
    )
