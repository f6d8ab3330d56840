"""The jobs: all of them, or those of one state."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from bulkport.dashboard.core.component import Component
from bulkport.dashboard.core.masking import Masking
from bulkport.dashboard.core.page import Entry, Page, PageRequest, Search, Section
from bulkport.dashboard.pages.bulk_operation_store import BulkOperationStore
from bulkport.dashboard.pages.bulk_operations import (
    STEP_SECONDS,
    BulkOperations,
    bulk_operation_actions,
    bulk_operation_page,
)
from bulkport.dashboard.pages.job import RelatedTo, job_page, related_to_nothing
from bulkport.dashboard.pages.job_actions import ORDERS, job_actions
from bulkport.dashboard.pages.job_filters import JobFilter
from bulkport.dashboard.pages.job_lists import JobLists, address_without_filters
from bulkport.dashboard.pages.job_search import JobSearch
from bulkport.dashboard.pages.managed_jobs import ManagedJobs
from bulkport.jobs.job import JobState
from bulkport.pools import AsyncPool

JOB_SEARCH: Final = Search("jobs", "text", "Search jobs")
"""The search field at the top of every page."""

_TITLES: Final = {
    None: "Jobs",
    JobState.ENQUEUED: "Enqueued jobs",
    JobState.SCHEDULED: "Scheduled jobs",
    JobState.PROCESSING: "Running jobs",
    JobState.SUCCEEDED: "Succeeded jobs",
    JobState.FAILED: "Failed jobs",
    JobState.AWAITING: "Jobs that wait for others",
    JobState.RETRYING: "Jobs that wait for their next attempt",
    JobState.CANCELLED: "Deleted and cancelled jobs",
}
_KEYS: Final = {
    None: ("job", "state", "queue", "created"),
    JobState.ENQUEUED: ("job", "queue", "priority", "created", "waiting"),
    JobState.SCHEDULED: ("job", "queue", "created", "due"),
    JobState.PROCESSING: ("job", "server", "progress", "created", "running"),
    JobState.SUCCEEDED: ("job", "queue", "created", "latency", "took", "finished"),
    JobState.FAILED: ("job", "queue", "created", "failures", "took", "finished"),
    JobState.AWAITING: ("job", "queue", "created"),
    JobState.RETRYING: ("job", "failures", "created", "next"),
    JobState.CANCELLED: ("job", "queue", "created", "finished"),
}
_EMPTY: Final = {
    None: ("No jobs yet", "Jobs appear here as soon as the application enqueues them."),
    JobState.ENQUEUED: ("Nothing waits", "Every job that may run is taken by a worker as soon as it is enqueued."),
    JobState.SCHEDULED: ("Nothing is scheduled", "Jobs that are to run later wait here until their time."),
    JobState.PROCESSING: ("Nothing runs", "If jobs are enqueued all the same, look at Servers: is there a worker?"),
    JobState.SUCCEEDED: ("Nothing has succeeded yet", "Jobs that ended well are kept here until they are pruned."),
    JobState.FAILED: ("Nothing failed", "A job whose last attempt fails stays here until it is requeued or deleted."),
    JobState.AWAITING: ("Nothing waits for others", "Continuations wait here until the jobs before them have ended."),
    JobState.RETRYING: ("Nothing waits for another attempt", "A job that fails and may be tried again waits here."),
    JobState.CANCELLED: ("Nothing was deleted", "What is deleted or cancelled stays here for a while."),
}
ACTIONS_ON: Final = {
    None: ("requeue", "run-now", "delete"),
    JobState.ENQUEUED: ("delete",),
    JobState.SCHEDULED: ("run-now", "delete"),
    JobState.PROCESSING: ("cancel",),
    JobState.SUCCEEDED: ("requeue", "delete"),
    JobState.FAILED: ("requeue", "delete"),
    JobState.AWAITING: ("delete",),
    JobState.RETRYING: ("run-now", "delete"),
    JobState.CANCELLED: ("requeue",),
}
"""What there is to do to jobs of a state, as `job_actions` names it."""


def jobs_component(
    jobs: ManagedJobs,
    masking: Masking,
    pool: Callable[[], AsyncPool],
    related: RelatedTo = related_to_nothing,
    *,
    step_seconds: float = STEP_SECONDS,
) -> Component:
    """The pages of jobs, the page of one, and the page of an order for many.

    Parameters
    ----------
    masking:
        Hides arguments.
    pool:
        Gives the pool of autocommit connections once the application is connected; of the database of the jobs.
    related:
        What else a job belongs to, such as an import.
    step_seconds:
        How long a request goes on with an order for all jobs that match, before the next one does.
    """
    lists = JobLists(jobs, masking)
    makes = {name: make for name, (_, make) in ORDERS.items()}
    orders = BulkOperations(jobs, JobSearch(jobs, masking), BulkOperationStore(pool), makes, step_seconds=step_seconds)

    async def load(request: PageRequest) -> Mapping[str, Any]:
        state = JobFilter.of(request.query).state
        return {
            "list": await lists.read(request, "jobs", _KEYS[state]),
            "heading": _TITLES[state],
            "empty": _EMPTY[state],
            "actions": ACTIONS_ON[state],
            "without_filters": address_without_filters(request),
            "waiting": await _waiting(jobs) if state is JobState.ENQUEUED else (),
            "job_address": _numbered(request.query.get("text"), request),
        }

    return Component(
        section=Section(
            "jobs",
            "Jobs",
            "jobs",
            "jobs",
            entries=(
                Entry("All", "jobs", (("state", ""),)),
                *(
                    Entry(_label(state), "jobs", (("state", state.value),), state.value, state is JobState.FAILED)
                    for state in JobState
                ),
            ),
        ),
        pages=[
            Page("jobs", "jobs.html", load, section="jobs", follows_counts=True),
            job_page(jobs, masking, related),
            bulk_operation_page(orders, {name: label for name, (label, _) in ORDERS.items()}),
        ],
        actions=[*job_actions(jobs, orders), *bulk_operation_actions(orders)],
    )


async def _waiting(jobs: ManagedJobs) -> Sequence[tuple[str, int]]:
    """Queues in which jobs wait, and how many."""
    return sorted((await jobs.statistics()).waiting.items())


def _label(state: JobState) -> str:
    return "Deleted" if state is JobState.CANCELLED else state.value.capitalize()


def _numbered(text: str, request: PageRequest) -> str:
    """Where the job is whose number was searched for; empty if it was no number."""
    number = text.removeprefix("#")
    return request.link(f"jobs/{number}") if number.isascii() and number.isdecimal() and len(number) < 19 else ""
