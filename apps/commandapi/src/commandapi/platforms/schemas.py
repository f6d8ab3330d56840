"""JSON bodies of the platform routes."""

from typing import Annotated, Literal

from pydantic import Field

from bulkport.fastapi.schemas import UtcTime, WireView
from commandapi.paging import PageQuery
from commandapi.platforms.resource import PlatformRow


class PlatformBody(PlatformRow):
    """A platform to create, or the new state of one."""


class PlatformView(WireView):
    """A stored platform."""

    id: int
    """The platform's id."""
    platform_name: str
    """Its name."""
    created_at: UtcTime
    """When it was stored."""


class PlatformQuery(PageQuery):
    """Query parameters of the list of platforms."""

    sort_by: Annotated[
        Literal["platformName", "id", "createdAt"], Field(description="Field to sort by, then by id.")
    ] = "platformName"
