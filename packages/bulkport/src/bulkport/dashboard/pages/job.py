"""One job: its call, history, attempts, log, and what it belongs to."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from starlette.responses import Response

from bulkport.dashboard.core.cache import TTLCache
from bulkport.dashboard.core.formatting import duration
from bulkport.dashboard.core.language import t
from bulkport.dashboard.core.masking import Masking
from bulkport.dashboard.core.page import Download, Page, PageNotFound, PageRequest
from bulkport.dashboard.core.truncation import shortened
from bulkport.dashboard.pages.continuations import continuation_graph
from bulkport.dashboard.pages.job_call import call_in_a_line, readable_call, readable_value
from bulkport.dashboard.pages.job_dots import Outcome
from bulkport.dashboard.pages.job_format import AS_THEY_ARE, JobFormat
from bulkport.dashboard.pages.job_markdown import job_as_markdown
from bulkport.dashboard.pages.job_timeline import attempts_of, steps_of
from bulkport.dashboard.pages.running_code import PROFILE_SECONDS, running_code
from bulkport.dashboard.pages.waiting import reason_for_job
from bulkport.identifiers import MAX_BIGINT, BackgroundJobId
from bulkport.jobs.calls import JobCalls
from bulkport.jobs.job import JobState
from bulkport.jobs.port.details import JobDetails, JobLogLine, JobSummary
from bulkport.jobs.port.engine import RetentionPolicy
from bulkport.jobs.port.query import JobQuery

_MOST_ARGS_BYTES: Final = 65_536
"""Arguments that take more room as they are stored are not shown but downloaded: a page that is watched reads them
every second."""
_SHOWN_ATTEMPTS: Final = 10
"""Attempts with their tracebacks that are shown at first."""
_LATEST_JOBS: Final = 20
_LATEST_SECONDS: Final = 10.0
_SHOWN_LINES: Final = 200
_MOST_LINES: Final = 1_000
_TITLE_CHARACTERS: Final = 120
_MOST_WAITS: Final = 4


@dataclass(frozen=True, slots=True)
class Related:
    """Something of the application that a job belongs to."""

    name: str
    """Its kind: `Import`."""
    label: str
    """Which one: `#4812`."""
    path: str
    """Of its page, relative to the dashboard."""


RelatedTo = Callable[[JobSummary], Sequence[Related]]


def related_to_nothing(job: JobSummary) -> Sequence[Related]:
    """For jobs that belong to nothing else."""
    return ()


@dataclass(frozen=True, slots=True)
class RetryPlan:
    """What a task's policy has in store for a job that fails."""

    max_attempts: int
    waits: str
    """The waits before the attempts that are left, such as `1.0 s, 2.0 s, 4.0 s, …`."""


def job_page(
    jobs: JobCalls,
    masking: Masking,
    related: RelatedTo,
    retention: RetentionPolicy,
    job_format: JobFormat = AS_THEY_ARE,
) -> Page:
    """The page. Its buttons are the actions of `jobs_component`."""

    async def read_latest(task: str) -> Sequence[JobSummary]:
        return (await jobs.search(JobQuery(task=task), limit=_LATEST_JOBS)).items

    latest = TTLCache(read_latest, seconds=_LATEST_SECONDS)

    async def load(request: PageRequest) -> Mapping[str, Any]:
        number: int = request.params["job_id"]
        job_id = BackgroundJobId(str(number))
        found = await jobs.details(job_id, most_args_bytes=_MOST_ARGS_BYTES) if number <= MAX_BIGINT else None
        if found is None:
            raise PageNotFound(t("Job {job} not found. Finished jobs are removed after some time.", job=number))
        shows_all = request.query.get("lines") == "all"
        args, is_cut = (None, True) if found.job.args is None else shortened(found.job.args)
        details = replace(found, job=replace(found.job, args=args))
        job = details.job
        reason = reason_for_job(await jobs.queues(), job.queue, job.task) if job.state is JobState.ENQUEUED else ""
        attempts = attempts_of(details)
        said = job_format.arguments_of(job, masking)
        return {
            "job": job,
            "details": details,
            "call_line": f"{job.task}: {said}" if said else call_in_a_line(job, masking, _TITLE_CHARACTERS),
            "links_elsewhere": job_format.links_of(job, masking),
            "result_text": "" if details.result is None else job_format.result_of(job, details.result, masking),
            "call": readable_call(job, masking),
            "arguments": None if job.args is None else masking.apply(job.args),
            "is_cut": is_cut,
            "plan": _plan(jobs, job),
            "is_known": job.task in jobs.tasks,
            "removed_at": _removal_time(job, retention),
            "keeps_forever": job.state.is_final and _age(job, retention) is None,
            "result": None if details.result is None else readable_value(details.result, masking),
            "checkpoint": None if details.checkpoint is None else readable_value(details.checkpoint, masking),
            "steps": steps_of(details),
            "attempts": attempts if request.query.get("attempts") == "all" else attempts[:_SHOWN_ATTEMPTS],
            "attempts_in_all": len(attempts),
            "markdown": job_as_markdown(details, masking, attempts),
            "reason": reason,
            "running": running_code(details),
            "profile_seconds": PROFILE_SECONDS,
            "graph": await continuation_graph(jobs, details, request),
            "lines": await _lines(jobs, details, shows_all=shows_all),
            "actions": _actions(job),
            "related": related(job),
            "latest": [Outcome.of(one) for one in reversed(await latest.get(job.task))],
        }

    return Page("jobs/{job_id:int}", "job.html", load, section="jobs")


def arguments_download(jobs: JobCalls, masking: Masking) -> Download:
    """All of a job's arguments as JSON, however many there are."""

    async def answer(request: PageRequest) -> Response:
        number: int = request.params["job_id"]
        details = await jobs.details(BackgroundJobId(str(number))) if number <= MAX_BIGINT else None
        if details is None:
            raise PageNotFound(t("Job {job} not found. Finished jobs are removed after some time.", job=number))
        # Some megabytes take longer than a loop may be held.
        text = await asyncio.to_thread(
            lambda: json.dumps(masking.apply(details.job.args), ensure_ascii=False, indent=2)
        )
        disposition = f'attachment; filename="job-{number}-arguments.json"'
        return Response(text, media_type="application/json", headers={"Content-Disposition": disposition})

    return Download("jobs/{job_id:int}/arguments.json", answer)


def _plan(jobs: JobCalls, job: JobSummary) -> RetryPlan | None:
    """None: this process does not know the task."""
    task = jobs.tasks.get(job.task)
    if task is None:
        return None
    policy = replace(task.settings.retry, jitter=0)
    left = range(job.failures + 1, policy.max_attempts)
    waits = [duration(policy.delay_after(number)) for number in left[:_MOST_WAITS]]
    return RetryPlan(policy.max_attempts, ", ".join([*waits, *(["…"] if len(left) > _MOST_WAITS else [])]))


def _age(job: JobSummary, retention: RetentionPolicy) -> timedelta | None:
    return dict(retention.ages()).get(job.state)


def _removal_time(job: JobSummary, retention: RetentionPolicy) -> datetime | None:
    age = _age(job, retention)
    return None if job.finished_at is None or age is None else job.finished_at + age


async def _lines(jobs: JobCalls, details: JobDetails, *, shows_all: bool) -> Sequence[JobLogLine]:
    if not details.log_lines:
        return ()
    most = _MOST_LINES if shows_all else _SHOWN_LINES
    # One line may be there beyond those that a job is allowed: it says so.
    after = min(max(0, details.log_lines - most), _MOST_LINES)
    return await jobs.logs(details.job.id, after=after, limit=most)


def _actions(job: JobSummary) -> Sequence[tuple[str, str, str]]:
    """The actions on the job: name, label and question of each."""
    requeue = ("requeue", t("Run job again") if job.state is JobState.SUCCEEDED else t("Requeue job"), "")
    cancel = ("cancel", t("Cancel job"), t("Cancel job {job}?", job=job.id))
    delete = ("delete", t("Delete job"), t("Delete job {job}?", job=job.id))
    match job.state:
        case JobState.SCHEDULED | JobState.RETRYING:
            return [("run-now", t("Run job now"), ""), cancel]
        case JobState.ENQUEUED | JobState.AWAITING:
            return [cancel]
        case JobState.PROCESSING:
            question = t("Ask job {job} to stop? It stops when its task checks for cancellation.", job=job.id)
            return [("cancel", t("Cancel job"), question)]
        case JobState.CANCELLED:
            return [requeue]
        case _:
            return [requeue, delete]
