"""What operators do to jobs: to one, to chosen ones, or to all that a page's filters find."""

from collections.abc import Callable
from typing import Final

from bulkport.background.errors import InvalidJobQuery
from bulkport.background.port.control import Cancel, Delete, Effect, Order, OrderSummary, Requeue, RunNow
from bulkport.background.reading.query import JobCount
from bulkport.dashboard.actions import Action, ActionRefused, ActionRequest, Done, Form
from bulkport.dashboard.formatting import plural
from bulkport.dashboard.pages.found_jobs import FoundJobs
from bulkport.dashboard.pages.job_filters import LISTS, JobFilter, in_words
from bulkport.dashboard.pages.job_outcomes import jobs_in_words, outcome_in_words
from bulkport.dashboard.pages.page import Query
from bulkport.dashboard.steered_jobs import SteeredJobs
from bulkport.identifiers import BackgroundJobId

_MOST_COUNTED: Final = 100_000


def job_actions(jobs: SteeredJobs, found_jobs: FoundJobs) -> list[Action]:
    """The actions `jobs/requeue`, `jobs/run-now`, `jobs/cancel` and `jobs/delete`.

    Their forms have the fields `id` of each job that is meant; or `all`, the list whose jobs are all meant, and
    `filter`, the query of that list's address.
    """
    return [
        _action(jobs, found_jobs, "requeue", "Requeue", lambda actor: Requeue(actor=actor), asks_for_one=False),
        _action(jobs, found_jobs, "run-now", "Run now", lambda actor: RunNow(actor=actor), asks_for_one=False),
        _action(jobs, found_jobs, "cancel", "Cancel", lambda actor: Cancel(actor=actor), asks_for_one=True),
        _action(jobs, found_jobs, "delete", "Delete", lambda actor: Delete(actor=actor), asks_for_one=True),
    ]


def _action(
    jobs: SteeredJobs,
    found_jobs: FoundJobs,
    name: str,
    label: str,
    order: Callable[[str], Order],
    *,
    asks_for_one: bool,
) -> Action:
    async def run(request: ActionRequest) -> Done:
        wanted = order(request.viewer.name)
        if request.form.get("all"):
            found, meant = _all_meant(request.form)
            summary = await jobs.order_all(wanted, found.query)
            return Done(outcome_in_words(summary), target=meant, is_good=summary.done > 0)
        chosen = _chosen(request.form)
        results = await jobs.order(wanted, chosen)
        summary = OrderSummary.of(results)
        lead_to = None
        if len(results) == 1 and results[0].effect is Effect.REPEATED:
            lead_to = f"jobs/{results[0].new_job_id}"
        text = f"Job {chosen[0]}: {outcome_in_words(summary)[2:]}" if len(chosen) == 1 else outcome_in_words(summary)
        return Done(text, target=jobs_in_words(chosen), is_good=summary.done > 0, lead_to=lead_to)

    async def question(request: ActionRequest) -> str | None:
        if request.form.get("all"):
            found, meant = _all_meant(request.form)
            return f"{label} {_many(await found_jobs.count(found, most=_MOST_COUNTED))}: {meant}?"
        chosen = _chosen(request.form)
        if len(chosen) == 1:
            return f"{label} job {chosen[0]}?" if asks_for_one else None
        return f"{label} {plural(len(chosen), 'job')}?"

    return Action(f"jobs/{name}", label, run, question)


def _many(count: JobCount) -> str:
    if count.is_more and not count.jobs:
        return "those that are found"
    return f"at least {plural(count.jobs, 'job')}" if count.is_more else plural(count.jobs, "job")


def _chosen(form: Form) -> list[BackgroundJobId]:
    chosen = [BackgroundJobId(str(job_id)) for job_id in sorted(set(form.numbers()))]
    if not chosen:
        raise ActionRefused("No job was chosen.")
    return chosen


def _all_meant(form: Form) -> tuple[JobFilter, str]:
    name, fields = form["all"], Query.parse(form.get("filter", ""))
    if name not in LISTS:
        raise ActionRefused("There is no such list of jobs.")
    try:
        return JobFilter.of(fields, state=LISTS[name]), in_words(fields, state=LISTS[name])
    except InvalidJobQuery as error:
        raise ActionRefused(error.detail) from None
