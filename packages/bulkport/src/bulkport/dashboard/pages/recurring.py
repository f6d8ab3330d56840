"""The recurring jobs page: next run, outcomes of recent jobs, and actions."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

from bulkport.dashboard.core.action import Action, ActionRefused, ActionRequest, Done
from bulkport.dashboard.core.component import Component
from bulkport.dashboard.core.cron_words import cron_in_words
from bulkport.dashboard.core.formatting import relative
from bulkport.dashboard.core.language import t
from bulkport.dashboard.core.masking import Masking
from bulkport.dashboard.core.page import Page, PageNotFound, PageRequest, Section
from bulkport.dashboard.core.table import Paging
from bulkport.dashboard.pages.job_dots import TONES, Outcome
from bulkport.dashboard.pages.recurring_form import Known, recurring_form
from bulkport.errors import BadRequest
from bulkport.jobs.calls import JobCalls
from bulkport.jobs.errors import InvalidSchedule, UnknownRecurringJob
from bulkport.jobs.job import JobState
from bulkport.jobs.port.query import JobQuery
from bulkport.jobs.port.recurring import RecurringJob, RecurringRun

_FIELD: Final = "recurring"
_MAX_ID_LENGTH: Final = 200
_NEXT_TIMES: Final = 5
_LAST_JOBS: Final = 20


@dataclass(frozen=True, slots=True)
class LastRuns:
    """The last runs of a recurring job in the list: a dot for each, with its tone and meaning."""

    dots: Sequence[tuple[str, str]]
    failed: int


def recurring_component(jobs: JobCalls, masking: Masking) -> Component:
    """The pages, and the actions `recurring/trigger`, `pause`, `resume`, `remove` and `save`.

    The forms of the first four name the recurring job in the field `recurring`.

    Parameters
    ----------
    masking:
        Hides arguments.
    """

    async def load(request: PageRequest) -> Mapping[str, Any]:
        size = Paging.size_of(request)
        text, after = request.query.get("text") or None, request.query.get("cursor") or None
        if "\0" in f"{text}{after}":
            raise BadRequest(t("A recurring job's name cannot contain that character."))
        # One more than is shown: there is a next page.
        found = await jobs.recurring.list(text, after=after, limit=size + 1)
        shown = found[:size]
        return {
            "recurring": shown,
            "arguments": {one.id: masking.apply(one.definition.args) for one in shown},
            "words": {one.id: schedule_in_words(one) for one in shown},
            "runs": {one.id: _last_runs(one.runs) for one in shown},
            "paging": Paging(size, shown[-1].id if len(found) > size else None),
            "can_add": bool(jobs.tasks),
        }

    async def load_one(request: PageRequest) -> Mapping[str, Any]:
        one = await known(request.params["recurring_id"])
        last = await jobs.search(JobQuery(recurring_id=one.id), limit=_LAST_JOBS)
        return {
            "one": one,
            "words": schedule_in_words(one),
            "arguments": masking.apply(one.definition.args),
            "next_times": next_times(one),
            "outcomes": [Outcome.of(job) for job in reversed(last.items)],
            "last_run": last.items[0] if last.items else None,
            "is_editable": one.definition.task in jobs.tasks,
        }

    async def known(recurring_id: str) -> RecurringJob:
        one = await jobs.recurring.get(recurring_id) if "\0" not in recurring_id else None
        if one is None:
            raise PageNotFound(t("Recurring job {job} no longer exists.", job=recurring_id))
        return one

    form_pages, form_actions = recurring_form(jobs, Known(known), masking)
    return Component(
        section=Section("recurring", "Recurring", "recurring", "recurring"),
        pages=[
            Page("recurring", "recurring.html", load, section="recurring"),
            *form_pages,
            Page("recurring/{recurring_id:path}", "recurring_job.html", load_one, section="recurring"),
        ],
        actions=[
            _action("trigger", "Run now", _trigger(jobs)),
            _action("pause", "Pause recurring job", _pause(jobs)),
            _action("resume", "Resume recurring job", _resume(jobs)),
            _action("remove", "Remove recurring job", _remove(jobs), _remove_question),
            *form_actions,
        ],
    )


def schedule_in_words(one: RecurringJob) -> str:
    """When it is due, with its zone, in the language of the page; if the schedule cannot be used here, why."""
    try:
        return f"{cron_in_words(one.definition.schedule)} ({one.definition.timezone})"
    except InvalidSchedule as error:
        return str(error)


def next_times(one: RecurringJob) -> list[datetime]:
    """The next times that it is due; none if its schedule cannot be used here."""
    try:
        return list(islice(one.definition.schedule.ticks_after(datetime.now(UTC)), _NEXT_TIMES))
    except InvalidSchedule:
        return []


def _last_runs(runs: Sequence[RecurringRun]) -> LastRuns:
    return LastRuns(
        [(TONES.get(run.state, ""), t("job {job}: {state}", job=run.job_id, state=t(run.state.value))) for run in runs],
        sum(run.state is JobState.FAILED for run in runs),
    )


Control = Callable[[str], Awaitable[Done]]
"""Does something to the recurring job of an id."""


def _action(
    name: str, label: str, control: Control, question: Callable[[ActionRequest], Awaitable[str]] | None = None
) -> Action:
    async def run(request: ActionRequest) -> Done:
        recurring_id = _id(request)
        try:
            return await control(recurring_id)
        except UnknownRecurringJob:
            raise ActionRefused(t("Recurring job {job} no longer exists.", job=recurring_id)) from None

    return Action(f"recurring/{name}", label, run, question)


def _trigger(jobs: JobCalls) -> Control:
    async def trigger(recurring_id: str) -> Done:
        job_id = await jobs.recurring.trigger(recurring_id)
        text = t("Started {recurring} (job {job}).", recurring=recurring_id, job=job_id)
        return Done(text, _target(recurring_id), lead_to=f"jobs/{job_id}")

    return trigger


def _pause(jobs: JobCalls) -> Control:
    async def pause(recurring_id: str) -> Done:
        await jobs.recurring.pause(recurring_id)
        return Done(t("Paused {recurring}.", recurring=recurring_id), _target(recurring_id))

    return pause


def _resume(jobs: JobCalls) -> Control:
    async def resume(recurring_id: str) -> Done:
        one = await jobs.recurring.resume(recurring_id)
        text = t("Resumed {recurring}.", recurring=recurring_id)
        if one.next_at is not None:
            when = relative(one.next_at, datetime.now(UTC))
            text = t("Resumed {recurring}; next run {when}.", recurring=recurring_id, when=when)
        return Done(text, _target(recurring_id))

    return resume


def _remove(jobs: JobCalls) -> Control:
    async def remove(recurring_id: str) -> Done:
        if await jobs.recurring.remove(recurring_id):
            text = t("Removed {recurring}.", recurring=recurring_id)
        else:
            text = t("{recurring} was already removed.", recurring=recurring_id)
        return Done(text, _target(recurring_id), lead_to="recurring")

    return remove


async def _remove_question(request: ActionRequest) -> str:
    return t("Remove recurring job {job}? Its past jobs are kept.", job=_id(request))


def _id(request: ActionRequest) -> str:
    recurring_id = request.form.get(_FIELD, "")
    if not 0 < len(recurring_id) <= _MAX_ID_LENGTH or not recurring_id.isprintable():
        raise ActionRefused(t("No recurring job selected."))
    return recurring_id


def _target(recurring_id: str) -> str:
    return f"recurring job {recurring_id}"
