"""Enqueueing a job and editing one that waits: forms, and the actions behind them."""

import inspect
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bulkport.dashboard.core.action import Action, ActionRefused, ActionRequest, Done, Form
from bulkport.dashboard.core.language import joined, t
from bulkport.dashboard.core.masking import MASK, Masking, is_masked, unmasked
from bulkport.dashboard.core.page import Page, PageNotFound, PageRequest, Query
from bulkport.dashboard.core.times import parse_time
from bulkport.dashboard.pages.job_outcomes import outcome_of_one
from bulkport.errors import BulkportError
from bulkport.identifiers import MAX_BIGINT, BackgroundJobId
from bulkport.jobs.calls import JobCalls
from bulkport.jobs.job import JobState
from bulkport.jobs.port.control import Change, Effect, Order, Reschedule
from bulkport.jobs.port.details import JobSummary
from bulkport.jobs.task import Task

_EDITABLE: Final = (JobState.ENQUEUED, JobState.SCHEDULED, JobState.RETRYING)
_FIELDS: Final = ("task", "args", "queue", "priority", "at")
_MAX_ARGUMENTS: Final = 2_000
"""Characters of arguments that come back to a form with a problem, in its address."""


def job_forms(jobs: JobCalls, masking: Masking) -> tuple[list[Page], list[Action]]:
    """The pages `jobs/new` and `jobs/{id}/edit`, and the actions `jobs/enqueue` and `jobs/edit`.

    `jobs/new?like=17` begins with what job 17 has; what is masked of its arguments stays as it is if it is not changed.
    """

    async def load_new(request: PageRequest) -> Mapping[str, Any]:
        values = {name: request.query.get(name) for name in _FIELDS}
        model = await _model(jobs, request.query.get("like"))
        if model is not None:
            values = {name: values[name] or stored for name, stored in _values_of(model, masking).items()}
        task = jobs.tasks.get(values["task"])
        return {
            "tasks": sorted(jobs.tasks),
            "signature": "" if task is None else signature_of(task),
            "values": values,
            "like": "" if model is None else model.id,
        }

    async def load_edit(request: PageRequest) -> Mapping[str, Any]:
        number: int = request.params["job_id"]
        details = await jobs.details(BackgroundJobId(str(number))) if number <= MAX_BIGINT else None
        if details is None:
            raise PageNotFound(t("Job {job} not found. Finished jobs are removed after some time.", job=number))
        return {"job": details.job, "is_editable": details.job.state in _EDITABLE}

    pages = [
        Page("jobs/new", "job_new.html", load_new, section="jobs"),
        Page("jobs/{job_id:int}/edit", "job_edit.html", load_edit, section="jobs"),
    ]
    return pages, [
        Action("jobs/enqueue", "Enqueue job", _enqueue(jobs)),
        Action("jobs/edit", "Save changes", _edit(jobs)),
    ]


async def _model(jobs: JobCalls, number: str) -> JobSummary | None:
    """The job that another one is to be like; None: there is none."""
    details = await jobs.details(BackgroundJobId(number)) if number.isascii() and number.isdecimal() else None
    return None if details is None else details.job


def _values_of(job: JobSummary, masking: Masking) -> dict[str, str]:
    return {
        "task": job.task,
        "args": json.dumps(masking.apply(job.args or {}), ensure_ascii=False, indent=2),
        "queue": job.queue,
        "priority": str(job.priority),
        "at": "",
    }


def signature_of(task: Task[..., Any]) -> str:
    """The task's arguments as its function declares them."""
    return f"{task.name}{inspect.signature(task.function)}"


def arguments_in(text: str) -> dict[str, Any]:
    """Arguments by name from a JSON object.

    Raises
    ------
    ActionRefused
        It is not a JSON object.
    """
    if not text.strip():
        return {}
    try:
        arguments = json.loads(text)
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        raise ActionRefused(t("Enter the arguments as a JSON object, such as {example}.", example='{"order_id": 7}'))
    return arguments


def _enqueue(jobs: JobCalls) -> Callable[[ActionRequest], Any]:
    async def run(request: ActionRequest) -> Done:
        form = request.form
        name = form.get("task", "").strip()
        try:
            task = jobs.tasks.get(name)
            if task is None:
                raise ActionRefused(t("Choose a task that this server knows."))
            options: dict[str, Any] = {}
            if queue := form.get("queue", "").strip():
                options["queue"] = queue
            if priority := form.get("priority", "").strip():
                options["priority"] = _integer(priority)
            args = arguments_in(form.get("args", ""))
            if is_masked(args):
                model = await _model(jobs, form.get("like", ""))
                if model is None or model.args is None:
                    raise ActionRefused(t("Replace {mask}: it stands for a hidden value.", mask=MASK))
                args = {name: unmasked(value, model.args.get(name)) for name, value in args.items()}
            called = task.options(**options).call(**args)
            at = _start(form)
            job_id = await (jobs.enqueue(called) if at is None else jobs.schedule(called, at=at))
        except (BulkportError, ValueError, TypeError) as error:
            detail = error.detail if isinstance(error, BulkportError) else str(error)
            given = {field: form.get(field, "")[:_MAX_ARGUMENTS] for field in (*_FIELDS, "like")}
            return Done(detail, name, is_good=False, lead_to=f"jobs/new?{Query(list(given.items()))}")
        return Done(
            t("Enqueued {task} (job {job}).", task=name, job=job_id), f"job {job_id}: {name}", lead_to=f"jobs/{job_id}"
        )

    return run


def _edit(jobs: JobCalls) -> Callable[[ActionRequest], Any]:
    async def run(request: ActionRequest) -> Done:
        form = request.form
        ids = form.numbers("job")
        if len(ids) != 1:
            raise ActionRefused(t("No jobs selected."))
        job_id = BackgroundJobId(str(ids[0]))
        actor, reason = request.viewer.name, form.get("reason", "").strip()[:200] or None
        orders: list[Order] = []
        queue, priority = form.get("queue", "").strip(), form.get("priority", "").strip()
        try:
            changed_queue = queue if queue != form.get("queue_was") else ""
            changed_priority = priority if priority != form.get("priority_was") else ""
            if changed_queue or changed_priority:
                number = _integer(changed_priority) if changed_priority else None
                orders.append(Change(queue=changed_queue or None, priority=number, actor=actor, reason=reason))
            at = _start(form)
            if at is not None:
                orders.append(Reschedule(at=at, actor=actor, reason=reason))
        except ValueError as error:
            raise ActionRefused(str(error)) from None
        if not orders:
            raise ActionRefused(t("Nothing to change."))
        said: list[str] = []
        effects: list[Effect] = []
        for order in orders:
            (result,) = await jobs.order(order, [job_id])
            effects.append(result.effect)
            said.append(outcome_of_one(job_id, result.effect))
        is_good = all(effect.is_done for effect in effects)
        return Done(joined(" ", dict.fromkeys(said)), t("job {job}", job=job_id), is_good, lead_to=f"jobs/{job_id}")

    return run


def _start(form: Form) -> datetime | None:
    text = form.get("at", "").strip()
    if not text:
        return None
    now = datetime.now(UTC)
    at = parse_time(text, now)
    if at is None:
        raise ActionRefused(t("Enter a start like 2026-07-01 14:00, tomorrow or in 2 h."))
    if at < now - timedelta(minutes=1):
        raise ActionRefused(t("The start is in the past."))
    return at


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ActionRefused(t("A priority is a whole number; higher starts first.")) from None
