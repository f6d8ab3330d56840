"""The dashboard's JSON API below `api/v1`: what the pages show, for programs and scripts.

It has the access, the filters and the masking of the pages. What it changes is in `api_commands`.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Final

from starlette.responses import Response

from bulkport.dashboard.core.command import Command
from bulkport.dashboard.core.language import t
from bulkport.dashboard.core.masking import Masking
from bulkport.dashboard.core.page import Download, PageNotFound, PageRequest
from bulkport.dashboard.pages.api_description import QUERIES, description_downloads
from bulkport.dashboard.pages.attention import Attention
from bulkport.dashboard.pages.failure_groups import read_failure_groups
from bulkport.dashboard.pages.job_filters import JobFilter
from bulkport.dashboard.pages.job_search import JobSearch
from bulkport.dashboard.pages.prometheus import job_metrics
from bulkport.errors import BadRequest
from bulkport.identifiers import MAX_BIGINT, BackgroundJobId
from bulkport.jobs.calls import JobCalls
from bulkport.jobs.port.details import JobDetails, JobSummary

_MAX_LISTED: Final = 200
ReadAttention = Callable[[], Awaitable[Sequence[Attention]]]


def api_downloads(
    jobs: JobCalls, masking: Masking, attention: ReadAttention, commands: Sequence[Command] = ()
) -> list[Download]:
    """The resources of the API.

    Parameters
    ----------
    masking
        Hides arguments, as on the pages.
    attention
        Reads what needs attention.
    commands
        What the API can do beside reading; for its description.
    """
    search = JobSearch(jobs, masking)

    async def list_jobs(request: PageRequest) -> Any:
        found = JobFilter.of(request.query)
        size = request.query.number("size", 50, least=1, most=_MAX_LISTED)
        page = await search.page(found.query, request.query.get("cursor") or None, size)
        return {"jobs": [job_members(job, masking) for job in page.items], "nextCursor": page.next_cursor}

    async def one_job(request: PageRequest) -> Any:
        number: int = request.params["job_id"]
        details = await jobs.details(BackgroundJobId(str(number))) if number <= MAX_BIGINT else None
        if details is None:
            raise PageNotFound(t("Job {job} not found. Finished jobs are removed after some time.", job=number))
        return details_members(details, masking)

    async def list_failures(request: PageRequest) -> Any:
        found = await read_failure_groups(jobs)
        groups = [{**asdict(group), "query": str(group.query)} for group in found.groups]
        return {"failures": groups, "isSample": found.is_sample}

    async def list_attention(request: PageRequest) -> Any:
        return {
            "attention": [
                {"code": one.code, "subject": one.subject, "text": one.text, "detail": one.detail, "isBad": one.is_bad}
                for one in await attention()
            ]
        }

    async def list_recurring(request: PageRequest) -> Any:
        found = await jobs.recurring.list(limit=_MAX_LISTED)
        return {
            "recurring": [
                {**asdict(one), "definition": {**asdict(one.definition), "args": masking.apply(one.definition.args)}}
                for one in found
            ]
        }

    async def list_queues(request: PageRequest) -> Any:
        return {"queues": await jobs.queues()}

    async def list_servers(request: PageRequest) -> Any:
        return {"servers": await jobs.servers()}

    async def list_batches(request: PageRequest) -> Any:
        size = request.query.number("size", 50, least=1, most=_MAX_LISTED)
        before = request.query.number("before", 0, least=0, most=MAX_BIGINT) or None
        return {"batches": await jobs.batches(before=before, limit=size)}

    async def list_tasks(request: PageRequest) -> Any:
        return {"tasks": await jobs.task_statistics(), "pausedTasks": await jobs.paused_tasks()}

    async def metrics(request: PageRequest) -> Response:
        text = await job_metrics(jobs, await attention())
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    return [
        *description_downloads(commands),
        resource("jobs", list_jobs),
        resource("jobs/{job_id:int}", one_job),
        resource("failures", list_failures),
        resource("attention", list_attention),
        resource("queues", list_queues),
        resource("servers", list_servers),
        resource("recurring", list_recurring),
        resource("batches", list_batches),
        resource("tasks", list_tasks),
        Download("api/v1/metrics", metrics),
    ]


def resource(path: str, read: Callable[[PageRequest], Awaitable[Any]]) -> Download:
    """A resource of the API: what `read` gives, as JSON. A query parameter that it does not know is an error: a filter
    that is passed over would have all jobs look like those that match.
    """
    known = QUERIES.get(path, ())

    async def answer(request: PageRequest) -> Response:
        unknown = next((name for name, _ in request.query.items() if name not in known), None)
        if unknown is not None:
            names = ", ".join(known) or t("none")
            raise BadRequest(t("Unknown query parameter {name}; known are: {known}.", name=f'"{unknown}"', known=names))
        content = json.dumps(plain(await read(request)), ensure_ascii=False, default=str)
        return Response(content, media_type="application/json")

    return Download(f"api/v1/{path}", answer)


def job_members(job: JobSummary, masking: Masking) -> dict[str, Any]:
    """A job of a list."""
    return {**asdict(job), "args": None if job.args is None else masking.apply(job.args)}


def details_members(details: JobDetails, masking: Masking) -> dict[str, Any]:
    """A job with everything stored about it."""
    return {
        **job_members(details.job, masking),
        "result": masking.apply(details.result),
        "attempts": details.runs,
        "history": [entry.change for entry in details.timeline if entry.change is not None],
        "parents": details.parents,
        "children": details.children,
        "batch": details.batch,
        "stack": details.stack,
    }


def plain(value: Any) -> Any:
    """A value as JSON has it: names in camelCase, times in ISO 8601."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        # Names set by the application stay unchanged.
        return {
            (_camel(name) if isinstance(name, str) and name.isidentifier() else str(plain(name))): inner
            if name in ("args", "result", "metadata")
            else plain(inner)
            for name, inner in value.items()
        }
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(inner) for inner in value]
    return value


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
