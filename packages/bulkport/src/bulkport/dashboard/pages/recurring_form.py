"""The form that adds or changes a recurring job, and its action."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

from bulkport.dashboard.core.action import Action, ActionRefused, ActionRequest, Done, Form
from bulkport.dashboard.core.cron_words import cron_in_words
from bulkport.dashboard.core.language import t
from bulkport.dashboard.core.masking import Masking, is_masked, unmasked
from bulkport.dashboard.core.page import Page, PageRequest, Query
from bulkport.dashboard.pages.job_forms import arguments_in, signature_of
from bulkport.errors import BulkportError
from bulkport.jobs.calls import JobCalls
from bulkport.jobs.errors import InvalidSchedule
from bulkport.jobs.port.recurring import MissedRuns, RecurringJob
from bulkport.jobs.schedule import Schedule

_FIELDS: Final = ("recurring", "task", "args", "cron", "timezone", "queue", "priority", "missed", "overlap")
_MAX_CHARACTERS: Final = 1_000
"""Of a field that comes back to a form with a problem, in its address."""
_PREVIEW: Final = 5


@dataclass(frozen=True, slots=True)
class Known:
    """Finds a recurring job; raises `PageNotFound`."""

    get: Callable[[str], Awaitable[RecurringJob]]


def recurring_form(jobs: JobCalls, known: Known, masking: Masking) -> tuple[list[Page], list[Action]]:
    """The pages `recurring/new` and `recurring/edit/{id}`, and the action `recurring/save`."""

    async def load_new(request: PageRequest) -> Mapping[str, Any]:
        values = {name: request.query.get(name) for name in _FIELDS}
        return _form(jobs, values, is_new=True)

    async def load_edit(request: PageRequest) -> Mapping[str, Any]:
        one = await known.get(request.params["recurring_id"])
        definition = one.definition
        stored = {
            "recurring": one.id,
            "task": definition.task,
            "args": json.dumps(masking.apply(definition.args), ensure_ascii=False, indent=2),
            "cron": definition.cron,
            "timezone": definition.timezone,
            "queue": definition.queue,
            "priority": str(definition.priority),
            "missed": definition.missed.value,
            "overlap": "" if definition.overlap else "no",
        }
        # What was sent last stays in the form when it had a problem.
        values = {name: request.query.get(name) or value for name, value in stored.items()}
        return {**_form(jobs, values, is_new=False), "in_code": one.in_code}

    pages = [
        Page("recurring/new", "recurring_form.html", load_new, section="recurring"),
        Page("recurring/edit/{recurring_id:path}", "recurring_form.html", load_edit, section="recurring"),
    ]
    return pages, [Action("recurring/save", "Save recurring job", _save(jobs))]


def _form(jobs: JobCalls, values: Mapping[str, str], *, is_new: bool) -> dict[str, Any]:
    task = jobs.tasks.get(values["task"])
    preview: list[datetime] = []
    words = problem = ""
    if values["cron"]:
        try:
            schedule = Schedule(values["cron"], values["timezone"] or "UTC")
            words = cron_in_words(schedule)
            preview = list(islice(schedule.ticks_after(datetime.now(UTC)), _PREVIEW))
        except InvalidSchedule as error:
            problem = str(error)
    return {
        "values": values,
        "is_new": is_new,
        "in_code": False,
        "tasks": sorted(jobs.tasks),
        "signature": "" if task is None else signature_of(task),
        "words": words,
        "problem": problem,
        "preview": preview,
        "missed": [(one.value, _MISSED[one]) for one in MissedRuns],
    }


_MISSED: Final = {
    MissedRuns.ONCE: "Run once for all of them",
    MissedRuns.SKIP: "Skip them",
    MissedRuns.ALL: "Run once for each of them",
}


def _save(jobs: JobCalls) -> Callable[[ActionRequest], Awaitable[Done]]:
    async def run(request: ActionRequest) -> Done:
        form = request.form
        recurring_id = form.get("recurring", "").strip()
        is_new = form.get("is_new") == "yes"
        target = f"recurring job {recurring_id}"
        try:
            await _check_name(recurring_id, is_new=is_new)
            saved = await _save_form(recurring_id, form)
        except (BulkportError, ValueError, TypeError) as error:
            detail = error.detail if isinstance(error, BulkportError) and error.detail else str(error)
            values = Query([(name, form.get(name, "")[:_MAX_CHARACTERS]) for name in _FIELDS])
            page = "recurring/new" if is_new else f"recurring/edit/{recurring_id}"
            return Done(detail, target, is_good=False, lead_to=f"{page}?{values}")
        return Done(t("Saved {recurring}.", recurring=saved.id), target, lead_to=f"recurring/{saved.id}")

    async def _check_name(recurring_id: str, *, is_new: bool) -> None:
        if not recurring_id or "?" in recurring_id or "#" in recurring_id or not recurring_id.isprintable():
            raise ActionRefused(t("Enter a name of printable characters, without ? and #."))
        if is_new and await jobs.recurring.get(recurring_id) is not None:
            raise ActionRefused(t("Recurring job {job} already exists.", job=recurring_id))

    async def _save_form(recurring_id: str, form: Form) -> RecurringJob:
        task = jobs.tasks.get(form.get("task", ""))
        if task is None:
            raise ActionRefused(t("Choose a task that this server knows."))
        args = arguments_in(form.get("args", ""))
        if is_masked(args):
            known = await jobs.recurring.get(recurring_id)
            stored = {} if known is None else known.definition.args
            args = {name: unmasked(value, stored.get(name)) for name, value in args.items()}
        priority = form.get("priority", "").strip()
        return await jobs.recurring.add_or_update(
            recurring_id,
            task,
            args=args,
            cron=form.get("cron", "").strip(),
            timezone=form.get("timezone", "").strip() or "UTC",
            queue=form.get("queue", "").strip() or task.job_options.queue,
            priority=int(priority) if priority else task.job_options.priority,
            missed=MissedRuns(form.get("missed", MissedRuns.ONCE)),
            overlap=form.get("overlap", "") != "no",
        )

    return run
