"""What operators do to jobs: to one, to chosen ones, or to all that a page's filters find."""

from typing import Final

from bulkport.dashboard.core.action import Action, ActionRefused, ActionRequest, Done, Form
from bulkport.dashboard.core.formatting import plural
from bulkport.dashboard.core.page import Query
from bulkport.dashboard.pages.bulk_operation_store import OperationState
from bulkport.dashboard.pages.bulk_operations import BulkOperations, MakeOrder, done_so_far
from bulkport.dashboard.pages.job_filters import LISTS, JobFilter, in_words
from bulkport.dashboard.pages.job_outcomes import jobs_in_words, outcome_in_words
from bulkport.dashboard.pages.managed_jobs import ManagedJobs
from bulkport.identifiers import BackgroundJobId
from bulkport.jobs.errors import InvalidJobQuery
from bulkport.jobs.port.control import Cancel, Delete, Effect, OrderSummary, Requeue, RunNow
from bulkport.jobs.reading.query import JobCount

ORDERS: Final[dict[str, tuple[str, MakeOrder]]] = {
    "jobs/requeue": ("Requeue", lambda actor: Requeue(actor=actor)),
    "jobs/run-now": ("Run now", lambda actor: RunNow(actor=actor)),
    "jobs/cancel": ("Cancel", lambda actor: Cancel(actor=actor)),
    "jobs/delete": ("Delete", lambda actor: Delete(actor=actor)),
}
"""What operators order, by the name of the action, with its label."""
_ASKED_FOR_ONE: Final = ("jobs/cancel", "jobs/delete")


def job_actions(jobs: ManagedJobs, orders: BulkOperations) -> list[Action]:
    """The actions of `ORDERS`.

    Their forms have the fields `id` of each job that is meant; or `all`, the list whose jobs are all meant, and
    `filter`, the query of that list's address.
    """
    return [_action(jobs, orders, name) for name in ORDERS]


def _action(jobs: ManagedJobs, orders: BulkOperations, name: str) -> Action:
    label, make = ORDERS[name]

    async def run(request: ActionRequest) -> Done:
        if request.form.get("all"):
            return await _order_all(orders, request)
        chosen = _chosen(request.form)
        results = await jobs.order(make(request.viewer.name), chosen)
        summary = OrderSummary.of(results)
        lead_to = None
        if len(results) == 1 and results[0].effect is Effect.REPEATED:
            lead_to = f"jobs/{results[0].new_job_id}"
        text = f"Job {chosen[0]}: {outcome_in_words(summary)[2:]}" if len(chosen) == 1 else outcome_in_words(summary)
        return Done(text, target=jobs_in_words(chosen), is_good=summary.done > 0, lead_to=lead_to)

    async def question(request: ActionRequest) -> str | None:
        if request.form.get("all"):
            list_name, fields = _list_meant(request.form)
            count = await orders.count(_filter(list_name, fields))
            return f"{label} {_many(count)}: {in_words(fields, state=LISTS[list_name])}?"
        chosen = _chosen(request.form)
        if len(chosen) == 1:
            return f"{label} job {chosen[0]}?" if name in _ASKED_FOR_ONE else None
        return f"{label} {plural(len(chosen), 'job')}?"

    return Action(name, label, run, question)


async def _order_all(orders: BulkOperations, request: ActionRequest) -> Done:
    list_name, fields = _list_meant(request.form)
    count = await orders.count(_filter(list_name, fields))
    assert request.entry_id is not None
    order = await orders.begin(request.entry_id, list_name, fields, count)
    if order.state is not OperationState.ENDED:
        return done_so_far(order)
    return Done(order.in_words, target=order.target, is_good=order.summary.done > 0)


def _many(count: JobCount) -> str:
    if count.is_more and not count.jobs:
        return "those that are found"
    return f"at least {plural(count.jobs, 'job')}" if count.is_more else plural(count.jobs, "job")


def _chosen(form: Form) -> list[BackgroundJobId]:
    chosen = [BackgroundJobId(str(job_id)) for job_id in sorted(set(form.numbers()))]
    if not chosen:
        raise ActionRefused("No job was chosen.")
    return chosen


def _list_meant(form: Form) -> tuple[str, Query]:
    """The list whose jobs are all meant, and the query of its address."""
    if form["all"] not in LISTS:
        raise ActionRefused("There is no such list of jobs.")
    return form["all"], Query.parse(form.get("filter", ""))


def _filter(list_name: str, fields: Query) -> JobFilter:
    try:
        return JobFilter.of(fields, state=LISTS[list_name])
    except InvalidJobQuery as error:
        raise ActionRefused(error.detail) from None
