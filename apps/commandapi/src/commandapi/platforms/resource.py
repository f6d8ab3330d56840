"""Platforms as a resource that can be imported in bulk."""

from typing import Annotated, Final

from pydantic import Field

from bulkport.fastapi.schemas import WireModel
from bulkport.imports.resource import Resource
from bulkport.imports.validation import NotBlank
from bulkport.imports.write_options import WriteMode

PlatformName = Annotated[str, NotBlank, Field(max_length=100, examples=["Docker"])]


class PlatformRow(WireModel):
    """One platform as a client sends it."""

    platform_name: PlatformName


PLATFORMS: Final = Resource(
    name="platforms",
    label="Platform",
    label_field="platform_name",
    model=PlatformRow,
    table="public.platforms",
    # Names are not unique: where several platforms have one, the lowest id is meant.
    key=("platform_name",),
    modes=tuple(WriteMode),
)
