"""Platforms as a resource that can be imported in bulk."""

from typing import Annotated, Final

from pydantic import Field

from bulkport.http.wire import WireModel
from bulkport.resources import Resource
from bulkport.validation import NotBlank

PlatformName = Annotated[str, NotBlank, Field(max_length=100, examples=["Docker"])]


class PlatformRow(WireModel):
    """One platform as a client sends it."""

    platform_name: PlatformName


PLATFORMS: Final = Resource(
    name="platforms", label="Platform", label_field="platform_name", model=PlatformRow, table="platforms"
)
