"""What operators do to jobs: to one, to selected ones, or to all that a page's filters find."""

from dataclasses import replace
from typing import Final

from bulkport.dashboard.core.action import Action, ActionRefused, ActionRequest, Done, Form
from bulkport.dashboard.core.formatting import number
from bulkport.dashboard.core.language import t
from bulkport.dashboard.core.page import Query
from bulkport.dashboard.pages.bulk_operation_store import OperationState
from bulkport.dashboard.pages.bulk_operations import BulkOperations, MakeOrder, done_so_far
from bulkport.dashboard.pages.job_filters import LISTS, JobFilter, in_words
from bulkport.dashboard.pages.job_outcomes import jobs_in_words, outcome_in_words, outcome_of_one
from bulkport.identifiers import BackgroundJobId
from bulkport.jobs.calls import JobCalls
from bulkport.jobs.errors import InvalidJobQuery
from bulkport.jobs.port.control import Cancel, Delete, Effect, OrderSummary, Requeue, RunNow
from bulkport.jobs.port.query import JobCount

ORDERS: Final[dict[str, MakeOrder]] = {
    "jobs/requeue": lambda actor: Requeue(actor=actor),
    "jobs/run-now": lambda actor: RunNow(actor=actor),
    "jobs/cancel": lambda actor: Cancel(actor=actor),
    "jobs/delete": lambda actor: Delete(actor=actor),
}
"""What operators order, by the name of the action."""
LABELS: Final = {
    "jobs/requeue": "Requeue jobs",
    "jobs/run-now": "Run jobs now",
    "jobs/cancel": "Cancel jobs",
    "jobs/delete": "Delete jobs",
}
_OF_ALL: Final = {
    "jobs/requeue": "Requeue all {jobs}?",
    "jobs/run-now": "Run all {jobs} now?",
    "jobs/cancel": "Cancel all {jobs}?",
    "jobs/delete": "Delete all {jobs}?",
}
HEADINGS: Final = {
    "jobs/requeue": "Requeue all {jobs}",
    "jobs/run-now": "Run all {jobs} now",
    "jobs/cancel": "Cancel all {jobs}",
    "jobs/delete": "Delete all {jobs}",
}
"""Of the pages of bulk operations."""
_OF_THE_ONLY_ONE: Final = {
    "jobs/requeue": "Requeue {jobs}?",
    "jobs/run-now": "Run {jobs} now?",
    "jobs/cancel": "Cancel {jobs}?",
    "jobs/delete": "Delete {jobs}?",
}
_OF_SELECTED: Final = {
    "jobs/requeue": "Requeue the {chosen} selected jobs?",
    "jobs/run-now": "Run the {chosen} selected jobs now?",
    "jobs/cancel": "Cancel the {chosen} selected jobs?",
    "jobs/delete": "Delete the {chosen} selected jobs?",
}
_MAX_REASON: Final = 200
_OF_ONE: Final = {"jobs/cancel": "Cancel job {job}?", "jobs/delete": "Delete job {job}?"}


def job_actions(jobs: JobCalls, operations: BulkOperations) -> list[Action]:
    """The actions of `ORDERS`.

    Their forms have the field `id` for each job; or `all`, the list whose jobs are all meant, and `filter`, the query
    of that list's address, which can also follow the list after a question mark.
    """
    return [_action(jobs, operations, name) for name in ORDERS]


def _action(jobs: JobCalls, operations: BulkOperations, name: str) -> Action:
    make = ORDERS[name]

    async def run(request: ActionRequest) -> Done:
        if request.form.get("all"):
            return await _order_all(operations, request)
        chosen = _chosen(request.form)
        reason = request.form.get("reason", "").strip()[:_MAX_REASON] or None
        results = await jobs.order(replace(make(request.viewer.name), reason=reason), chosen)
        summary = OrderSummary.of(results)
        lead_to = None
        is_missing = all(result.effect is Effect.UNKNOWN for result in results)
        if len(results) == 1 and results[0].effect is Effect.REPEATED:
            lead_to = f"jobs/{results[0].new_job_id}"
        text = outcome_of_one(chosen[0], results[0].effect) if len(chosen) == 1 else outcome_in_words(summary)
        return Done(
            text,
            target=jobs_in_words(chosen),
            is_good=summary.done > 0,
            lead_to=lead_to,
            status=404 if is_missing else None,
        )

    async def question(request: ActionRequest) -> str | None:
        if request.form.get("all"):
            list_name, fields = _list_meant(request.form)
            count = await operations.count(_filter(list_name, fields))
            asked = _OF_THE_ONLY_ONE if count == JobCount(1, is_more=False) else _OF_ALL
            return t(asked[name], jobs=in_words(fields, state=LISTS[list_name], count=_many(count)))
        chosen = _chosen(request.form)
        if len(chosen) == 1:
            return t(_OF_ONE[name], job=chosen[0]) if name in _OF_ONE else None
        return t(_OF_SELECTED[name], chosen=number(len(chosen)))

    return Action(name, LABELS[name], run, question)


async def _order_all(operations: BulkOperations, request: ActionRequest) -> Done:
    list_name, fields = _list_meant(request.form)
    count = await operations.count(_filter(list_name, fields))
    assert request.entry_id is not None
    operation = await operations.begin(request.entry_id, list_name, fields, count)
    if operation.state is not OperationState.ENDED:
        return done_so_far(operation)
    return Done(operation.in_words, target=operation.target, is_good=operation.summary.done > 0)


def _many(count: JobCount) -> str:
    if count.is_more and not count.jobs:
        return ""
    return f"{number(count.jobs)}+" if count.is_more else number(count.jobs)


def _chosen(form: Form) -> list[BackgroundJobId]:
    chosen = [BackgroundJobId(str(job_id)) for job_id in sorted(set(form.numbers()))]
    if not chosen:
        raise ActionRefused(t("No jobs selected."))
    return chosen


def _list_meant(form: Form) -> tuple[str, Query]:
    """The list whose jobs are all selected, and the query of its address."""
    name, mark, fields = form["all"].partition("?")
    if name not in LISTS:
        raise ActionRefused(t("Unknown list of jobs."))
    return name, Query.parse(fields if mark else form.get("filter", ""))


def _filter(list_name: str, fields: Query) -> JobFilter:
    try:
        return JobFilter.of(fields, state=LISTS[list_name])
    except InvalidJobQuery as error:
        raise ActionRefused(error.detail) from None
