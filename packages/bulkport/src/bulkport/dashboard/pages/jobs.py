"""The jobs: all of them, or those of one state."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bulkport.dashboard.core.component import Component
from bulkport.dashboard.core.language import t
from bulkport.dashboard.core.masking import Masking
from bulkport.dashboard.core.page import Entry, Page, PageRequest, Redirect, Search, Section
from bulkport.dashboard.pages.batches import batch_pages
from bulkport.dashboard.pages.bulk_operation_store import BulkOperationStore
from bulkport.dashboard.pages.bulk_operations import (
    STEP_SECONDS,
    BulkOperations,
    bulk_operation_actions,
    bulk_operation_page,
)
from bulkport.dashboard.pages.job import RelatedTo, arguments_download, job_page, related_to_nothing
from bulkport.dashboard.pages.job_actions import HEADINGS, ORDERS, job_actions
from bulkport.dashboard.pages.job_filters import JobFilter
from bulkport.dashboard.pages.job_format import AS_THEY_ARE, JobFormat
from bulkport.dashboard.pages.job_forms import job_forms
from bulkport.dashboard.pages.job_lists import JobLists, address_without_filters
from bulkport.dashboard.pages.job_search import JobSearch
from bulkport.dashboard.pages.running_code import profile_download, running_code_actions
from bulkport.dashboard.pages.saved_views import SavedViews, saved_view_actions, saved_view_page, views_of
from bulkport.dashboard.pages.search import search_page
from bulkport.dashboard.pages.search_suggestions import suggestions_download
from bulkport.dashboard.pages.waiting import reason_for_waiting
from bulkport.jobs.calls import JobCalls
from bulkport.jobs.job import JobState
from bulkport.jobs.port.engine import DEFAULT_RETENTION, RetentionPolicy
from bulkport.pools import AsyncPool

JOB_SEARCH: Final = Search("search", "q", "Search jobs and imports")
"""The search field at the top of every page."""

_TITLES: Final = {
    None: "Jobs",
    JobState.ENQUEUED: "Enqueued jobs",
    JobState.SCHEDULED: "Scheduled jobs",
    JobState.PROCESSING: "Running jobs",
    JobState.SUCCEEDED: "Succeeded jobs",
    JobState.FAILED: "Failed jobs",
    JobState.AWAITING: "Awaiting jobs",
    JobState.RETRYING: "Retrying jobs",
    JobState.CANCELLED: "Cancelled jobs",
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
    JobState.ENQUEUED: ("Queue is empty", "Workers start jobs as soon as they are enqueued."),
    JobState.SCHEDULED: ("No scheduled jobs", "Jobs with a start time wait here until it comes."),
    JobState.PROCESSING: ("No jobs running", "If jobs are enqueued but none run, check Servers for a worker."),
    JobState.SUCCEEDED: ("No succeeded jobs", "Succeeded jobs stay here until retention removes them."),
    JobState.FAILED: ("No failed jobs", "Jobs that run out of retries appear here."),
    JobState.AWAITING: ("No awaiting jobs", "Continuations wait here for the jobs before them."),
    JobState.RETRYING: ("No retrying jobs", "A job that fails and has attempts left waits here."),
    JobState.CANCELLED: ("No cancelled jobs", "Cancelled and deleted jobs stay here until retention removes them."),
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
"""The actions on jobs of a state."""


def jobs_component(
    jobs: JobCalls,
    masking: Masking,
    pool: Callable[[], AsyncPool],
    related: RelatedTo = related_to_nothing,
    *,
    step_seconds: float = STEP_SECONDS,
    retention: RetentionPolicy = DEFAULT_RETENTION,
    job_format: JobFormat = AS_THEY_ARE,
) -> Component:
    """The pages of jobs, the page of one, and the page of a bulk operation.

    Parameters
    ----------
    masking:
        Hides arguments.
    pool:
        Gives the pool of autocommit connections once the application is connected; of the database of the jobs.
    related:
        What else a job belongs to, such as an import.
    retention:
        How long the workers keep finished jobs.
    step_seconds:
        How long a request works on a bulk operation before the next one continues.
    job_format:
        What the application shows in place of arguments and results.
    """
    lists = JobLists(jobs, masking, job_format)
    views = SavedViews(pool)
    store = BulkOperationStore(pool)
    operations = BulkOperations(jobs, JobSearch(jobs, masking), store, ORDERS, step_seconds=step_seconds)

    form_pages, form_actions = job_forms(jobs, masking)

    async def load(request: PageRequest) -> Mapping[str, Any]:
        if request.query.get("q"):
            raise Redirect(request.link("search", None, q=request.query.get("q")))
        state = JobFilter.lenient(request.query).state
        listed = await lists.read(request, "jobs", _KEYS[state])
        return {
            "http_status": 400 if listed.found.problems else 200,
            "list": listed,
            "heading": t(_TITLES[state]),
            "empty": _EMPTY[state],
            "actions": ACTIONS_ON[state],
            "without_filters": address_without_filters(request),
            "waiting": await _waiting(jobs) if state is JobState.ENQUEUED else (),
            "can_enqueue": bool(jobs.tasks),
        }

    return Component(
        section=Section(
            "jobs",
            "Jobs",
            "jobs",
            "jobs",
            hint="{count} active jobs",
            entries=(
                Entry("All", "jobs", (("state", ""),)),
                *(
                    Entry(_label(state), "jobs", (("state", state.value),), state.value, state is JobState.FAILED)
                    for state in JobState
                ),
                Entry("Batches", "batches"),
            ),
        ),
        pages=[
            Page("jobs", "jobs.html", load, section="jobs", follows_counts=True, load_own=views_of(views)),
            saved_view_page(views),
            *form_pages,
            job_page(jobs, masking, related, retention, job_format),
            *batch_pages(jobs),
            search_page(),
            bulk_operation_page(operations, HEADINGS),
        ],
        actions=[
            *job_actions(jobs, operations),
            *bulk_operation_actions(operations),
            *form_actions,
            *running_code_actions(jobs),
            *saved_view_actions(views),
        ],
        downloads=[arguments_download(jobs, masking), suggestions_download(jobs, masking), profile_download(jobs)],
    )


@dataclass(frozen=True, slots=True)
class WaitingQueue:
    """A queue in which jobs wait."""

    name: str
    jobs: int
    reason: str
    """Why they wait, beyond their turn; empty if nothing keeps them."""


async def _waiting(jobs: JobCalls) -> Sequence[WaitingQueue]:
    queues = sorted((queue for queue in await jobs.queues() if queue.waiting), key=lambda queue: -queue.waiting)
    return [WaitingQueue(queue.name, queue.waiting, reason_for_waiting(queue)) for queue in queues]


def _label(state: JobState) -> str:
    return "Running" if state is JobState.PROCESSING else state.value.capitalize()
