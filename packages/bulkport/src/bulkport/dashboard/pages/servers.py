"""The servers pages: what each server is running, its memory and event loop lag, and the actions quiet and stop."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from bulkport.dashboard.core.action import Action, ActionRefused, ActionRequest, Done
from bulkport.dashboard.core.charts import Series, lines
from bulkport.dashboard.core.component import Component
from bulkport.dashboard.core.language import t
from bulkport.dashboard.core.page import Page, PageNotFound, PageRequest, Section
from bulkport.dashboard.core.table import Column, page_of
from bulkport.jobs.calls import JobCalls

_COLUMNS: Final = (
    Column("Server"),
    Column("Heartbeat"),
    Column("Busy slots"),
    Column("Running"),
    Column("Queues", is_minor=True, is_lesser=True),
    Column("Memory, loop lag", is_minor=True),
    Column("Uptime", is_number=True, is_minor=True, is_lesser=True),
    Column(""),
)
_LEAST_FILTERED: Final = 12
"""Servers from which on a field narrows them down by name, host or version."""
_LATE_SECONDS: Final = 0.5
"""Loop lag that is worth telling apart: heartbeats and cancellations of other jobs wait as long."""


def servers_component(jobs: JobCalls) -> Component:
    """The list, the page of one, and the actions `servers/quiet`, `servers/resume` and `servers/stop`.

    Their forms have the field `server`, a name.
    """

    async def load(request: PageRequest) -> Mapping[str, Any]:
        servers = await jobs.servers()
        text = request.query.get("text").lower()
        found = [one for one in servers if text in f"{one.name} {one.host} {one.version}".lower()]
        shown, paging = page_of(request, found)
        return {
            "servers": shown,
            "count": len(found),
            "columns": _COLUMNS,
            "late": _LATE_SECONDS,
            "paging": paging,
            "is_filtered": bool(text) or len(servers) >= _LEAST_FILTERED,
        }

    async def load_one(request: PageRequest) -> Mapping[str, Any]:
        name: str = request.params["server"]
        server = next((one for one in await jobs.servers() if one.name == name), None)
        if server is None:
            raise PageNotFound(t("Server {server} is not running.", server=name))
        # What others wrote may have gaps.
        minutes = [size or 0 for size in server.memory_minutes]
        ages = range(len(minutes) - 1, -1, -1)
        names = [t("{count} min ago", count=age) if age else t("now") for age in ages]
        memory = lines(
            names,
            [Series("memory", list(minutes), is_filled=True)],
            x_labels=[(place, names[place]) for place, age in enumerate(ages) if age % 30 == 0],
            least_top=2**26,
            ceiling=_memory_ceiling,
            show=lambda value: f"{value / 2**20:,.0f} MiB" if value else "0",
        )
        return {"one": server, "memory": memory if len(minutes) > 1 else None, "late": _LATE_SECONDS}

    return Component(
        section=Section("servers", "Servers", "servers", "servers"),
        pages=[
            Page("servers", "servers.html", load, section="servers"),
            Page("servers/{server:path}", "server.html", load_one, section="servers"),
        ],
        actions=[
            Action(
                "servers/quiet", "Quiet server", _command(jobs.quiet_server, "Asked {server} to start no more jobs.")
            ),
            Action("servers/resume", "Resume server", _command(jobs.resume_server, "Resumed {server}.")),
            Action(
                "servers/stop",
                "Stop server",
                _command(jobs.stop_server, "Asked {server} to stop. Its supervisor may start it again."),
                _stop_question,
            ),
        ],
    )


def _command(command: Callable[..., Awaitable[bool]], message: str) -> Callable[[ActionRequest], Awaitable[Done]]:
    async def run(request: ActionRequest) -> Done:
        name = _server(request)
        if not await command(name, actor=request.viewer.name):
            raise ActionRefused(t("Server {server} is not running, or is stopping.", server=name))
        return Done(t(message, server=name), target=f"server {name}")

    return run


async def _stop_question(request: ActionRequest) -> str:
    return t(
        "Stop server {server}? Running jobs get its grace period, then return to their queue.", server=_server(request)
    )


def _server(request: ActionRequest) -> str:
    name = request.form.get("server", "")
    if not name or "\0" in name:
        raise ActionRefused(t("No server selected."))
    return name


def _memory_ceiling(size_in_bytes: float) -> float:
    """A power of two of bytes not below it: a quarter of that reads well."""
    top = 1.0
    while top < size_in_bytes:
        top *= 2
    return top
