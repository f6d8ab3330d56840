"""The servers that run jobs."""

from collections.abc import Mapping
from typing import Any, Final

from bulkport.dashboard.core.component import Component
from bulkport.dashboard.core.page import Page, PageRequest, Section
from bulkport.dashboard.core.table import Column
from bulkport.jobs.inspect import Looking

_COLUMNS: Final = (
    Column("Server"),
    Column("Heartbeat"),
    Column("Busy slots"),
    Column("Running"),
    Column("Queues", is_minor=True),
    Column("Memory", is_number=True, is_minor=True),
    Column("Version", is_number=True, is_minor=True),
    Column("Uptime", is_number=True, is_minor=True),
)


def servers_component(jobs: Looking) -> Component:
    """The page."""

    async def load(request: PageRequest) -> Mapping[str, Any]:
        return {"servers": await jobs.servers(), "columns": _COLUMNS}

    return Component(
        section=Section("servers", "Servers", "servers", "servers"),
        pages=[Page("servers", "servers.html", load, section="servers")],
    )
