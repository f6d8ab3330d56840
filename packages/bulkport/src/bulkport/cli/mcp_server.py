"""A read-only server of the Model Context Protocol: assistants ask what fails, about one job, or an import's errors.

It reads what the dashboard reads, hides the same arguments, and changes nothing.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar

import psycopg
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations

from bulkport import __version__
from bulkport.app import Bulkport
from bulkport.dashboard.core.masking import DEFAULT_MASKED_NAMES, Masking
from bulkport.dashboard.core.page import Query
from bulkport.dashboard.pages.api import details_members, job_members, plain
from bulkport.dashboard.pages.failure_groups import read_failure_groups
from bulkport.dashboard.pages.job_filters import JobFilter
from bulkport.dashboard.pages.job_search import JobSearch
from bulkport.dashboard.standard import attention_reader
from bulkport.errors import BulkportError, JobNotFound
from bulkport.identifiers import MAX_BIGINT, BackgroundJobId, ImportId
from bulkport.imports.admin import ImportFilter, OperatedImports
from bulkport.imports.states import ImportStatus
from bulkport.sanitize import storable_text

P = ParamSpec("P")
R = TypeVar("R")

_MAX_LISTED: Final = 100
_READ_ONLY: Final = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
_INSTRUCTIONS: Final = (
    "Background jobs and bulk imports of one application. Begin with needs_attention and failing_tasks. Times are UTC."
)


def mcp_server(bulkport: Bulkport) -> MCPServer:
    """The server; it is connected to the database as long as it runs."""
    masking = Masking(DEFAULT_MASKED_NAMES)
    imports = OperatedImports(bulkport.opened_pool, bulkport.resources)

    @asynccontextmanager
    async def connected(_: MCPServer) -> AsyncIterator[None]:
        async with bulkport.connect():
            yield

    server = MCPServer(
        "bulkport", title="Bulkport", version=__version__, instructions=_INSTRUCTIONS, lifespan=connected
    )

    def tool(read: Callable[P, Awaitable[R]]) -> None:
        server.tool(annotations=_READ_ONLY)(_telling_why(read))

    @tool
    async def needs_attention() -> list[dict[str, Any]]:
        """Conditions that need an operator now: paused or unserved queues, silent servers, raised failure rates."""
        found = await attention_reader(bulkport, bulkport.resources, bulkport.opened_pool, bulkport.limits)()
        return [{"code": one.code, "subject": one.subject, "text": one.text, "detail": one.detail} for one in found]

    @tool
    async def failing_tasks(limit: int = 10) -> list[dict[str, Any]]:
        """The latest failed jobs grouped by task, error type and message, the most frequent first."""
        found = await read_failure_groups(bulkport)
        return [
            {
                "task": group.task,
                "errorType": group.error_type,
                "message": group.message,
                "jobs": group.jobs,
                "firstAt": group.first_at.isoformat(),
                "lastAt": group.last_at.isoformat(),
                "latestJob": group.last_job,
            }
            for group in found.groups[: _bounded(limit)]
        ]

    @tool
    async def list_jobs(
        *, state: str = "", task: str = "", queue: str = "", user: str = "", text: str = "", limit: int = 20
    ) -> list[dict[str, Any]]:
        """Jobs, newest first. state: enqueued, scheduled, awaiting, retrying, processing, succeeded, failed or
        cancelled; text: part of the arguments or the error. All but text take several values, separated by commas.
        """
        fields = {"state": state, "task": task, "queue": queue, "user": user, "text": text}
        found = JobFilter.of(Query(list(fields.items())))
        page = await JobSearch(bulkport, masking).page(found.query, None, _bounded(limit))
        return [plain(job_members(job, masking)) for job in page.items]

    @tool
    async def show_job(job_id: int) -> dict[str, Any]:
        """One job with its arguments, attempts, tracebacks, history and requested stacks."""
        details = await bulkport.details(BackgroundJobId(str(job_id))) if 0 < job_id <= MAX_BIGINT else None
        if details is None:
            raise ValueError(f"There is no job {job_id}; finished jobs are removed after some time.")
        members: dict[str, Any] = plain(details_members(details, masking))
        return members

    @tool
    async def list_queues() -> list[dict[str, Any]]:
        """Queues: waiting and running jobs, and whether and by whom each is paused."""
        return [plain(queue) for queue in await bulkport.queues()]

    @tool
    async def list_servers() -> list[dict[str, Any]]:
        """Worker servers with the jobs that they run."""
        return [plain(one) for one in await bulkport.servers()]

    @tool
    async def list_imports(status: str = "", user: str = "", limit: int = 20) -> list[dict[str, Any]]:
        """Imports, newest first. status: Pending, Processing, Completed, PartialSuccess, Failed or Cancelled."""
        statuses = frozenset({ImportStatus(status)}) if status else None
        wanted = ImportFilter(statuses=statuses, user_id=storable_text(user) or None)
        return [plain(one) for one in (await imports.find(wanted, limit=_bounded(limit))).items]

    @tool
    async def import_errors(import_id: int, limit: int = 20) -> dict[str, Any]:
        """An import with its errors by field and message, and its first rejected rows."""
        try:
            if not 0 < import_id < MAX_BIGINT:
                raise JobNotFound
            job = await imports.get(ImportId(import_id))
        except JobNotFound:
            raise ValueError(f"There is no import {import_id}.") from None
        rows = await imports.bad_rows(ImportId(import_id), limit=_bounded(limit))
        return {
            "import": plain(job),
            "errors": [plain(kind) for kind in await imports.error_kinds(ImportId(import_id), most=_MAX_LISTED)],
            "rejectedRows": [plain(row) for row in rows],
        }

    return server


def _telling_why(read: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """A tool that reports mistakes of its caller; the protocol's library hides other errors."""

    @wraps(read)
    async def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await read(*args, **kwargs)
        except BulkportError as error:
            raise ToolError(error.detail or str(error)) from error
        except ValueError as error:
            raise ToolError(str(error)) from error
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise ToolError("The database cannot be reached at the moment. Try again later.") from error

    return call


def _bounded(limit: int) -> int:
    return max(1, min(_MAX_LISTED, limit))
