"""JSON bodies of the command routes."""

from typing import Annotated, Literal

from pydantic import Field

from bulkport.fastapi.schemas import UtcTime, WireView
from commandapi.commands.resource import CommandRow
from commandapi.paging import PageQuery


class CommandBody(CommandRow):
    """A command to create, or the new state of one."""


class CommandView(WireView):
    """A stored command."""

    id: int
    """The command's id."""
    how_to: str
    """What it does."""
    command_line: str
    """What to type."""
    platform_id: int
    """The platform that it runs on."""
    created_at: UtcTime
    """When it was stored."""


class CommandQuery(PageQuery):
    """Query parameters of the lists of commands."""

    sort_by: Annotated[
        Literal["howTo", "commandLine", "platformId", "id", "createdAt"],
        Field(description="Field to sort by, then by id."),
    ] = "howTo"
