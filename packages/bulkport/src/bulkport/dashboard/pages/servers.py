"""The servers that run jobs, and the queues that jobs wait in; and what operators do to queues."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from bulkport.dashboard.core.action import Action, ActionRefused, ActionRequest, Done
from bulkport.dashboard.core.component import Component
from bulkport.dashboard.core.formatting import plural
from bulkport.dashboard.core.page import Entry, Page, PageRequest, Section
from bulkport.dashboard.core.table import Column
from bulkport.dashboard.pages.managed_jobs import ManagedJobs

_SERVER_COLUMNS: Final = (
    Column("Server"),
    Column("Heartbeat"),
    Column("Slots used"),
    Column("Runs"),
    Column("Queues", is_minor=True),
    Column("Memory", is_number=True, is_minor=True),
    Column("Version", is_number=True, is_minor=True),
    Column("Up", is_number=True, is_minor=True),
)
_QUEUE_COLUMNS: Final = (
    Column("Queue"),
    Column("State"),
    Column("Waiting", is_number=True),
    Column("Running", is_number=True),
    Column("Scheduled", is_number=True, is_minor=True),
    Column("To be retried", is_number=True, is_minor=True),
    Column("Oldest waits", is_number=True),
    Column("Servers", is_number=True, is_minor=True),
    Column(""),
)
_MOST_LIMIT: Final = 100_000


def servers_component(jobs: ManagedJobs) -> Component:
    """The pages of servers and of queues, and the actions `queues/pause`, `queues/resume` and `queues/limit`.

    The forms of the first two have the field `queue`; that of the limit has `limited`, the queue, and `limit`, a number
    or nothing for no limit.
    """

    async def load_servers(request: PageRequest) -> Mapping[str, Any]:
        servers = await jobs.servers()
        return {"servers": servers, "columns": _SERVER_COLUMNS}

    async def load_queues(request: PageRequest) -> Mapping[str, Any]:
        return {"queues": await jobs.queues(), "columns": _QUEUE_COLUMNS}

    return Component(
        section=Section(
            "servers",
            "Servers",
            "servers",
            "servers",
            entries=(Entry("Servers", "servers", count="servers"), Entry("Queues", "queues")),
        ),
        pages=[
            Page("servers", "servers.html", load_servers, section="servers"),
            Page("queues", "queues.html", load_queues, section="servers"),
        ],
        actions=[
            _action("pause", "Pause", _pause(jobs), _pause_question),
            _action("resume", "Resume", _resume(jobs)),
            _action("limit", "Set limit", _limit(jobs), field="limited"),
        ],
    )


Steer = Callable[[str, ActionRequest], Awaitable[str]]
"""Does something to the queue of a name, and says what."""


def _action(
    name: str,
    label: str,
    steer: Steer,
    question: Callable[[ActionRequest], Awaitable[str]] | None = None,
    *,
    field: str = "queue",
) -> Action:
    async def run(request: ActionRequest) -> Done:
        queue = _queue(request, field)
        try:
            return Done(await steer(queue, request), target=f"queue {queue}")
        except ValueError as error:
            raise ActionRefused(f"Not possible: {error}.") from None

    return Action(f"queues/{name}", label, run, question)


def _pause(jobs: ManagedJobs) -> Steer:
    async def pause(queue: str, request: ActionRequest) -> str:
        await jobs.pause_queue(queue, actor=request.viewer.name)
        return f"Queue {queue} is paused; jobs that run go on."

    return pause


async def _pause_question(request: ActionRequest) -> str:
    return f"Pause queue {_queue(request)}? None of its jobs starts until it is resumed."


def _resume(jobs: ManagedJobs) -> Steer:
    async def resume(queue: str, request: ActionRequest) -> str:
        await jobs.resume_queue(queue, actor=request.viewer.name)
        return f"Queue {queue} goes on."

    return resume


def _limit(jobs: ManagedJobs) -> Steer:
    async def limit(queue: str, request: ActionRequest) -> str:
        text = request.form.get("limit", "").strip()
        if not text:
            await jobs.limit_queue(queue, None, actor=request.viewer.name)
            return f"Queue {queue} has no limit any more."
        if not (text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= _MOST_LIMIT):
            raise ActionRefused(f"A limit is a number from 1 to {_MOST_LIMIT:,}; to run no job, pause the queue.")
        await jobs.limit_queue(queue, int(text), actor=request.viewer.name)
        return f"Queue {queue} runs at most {plural(int(text), 'job')} at one time."

    return limit


def _queue(request: ActionRequest, field: str = "queue") -> str:
    queue = request.form.get(field, "")
    if not queue or "\0" in queue:
        raise ActionRefused("No queue was named.")
    return queue
