"""Commands as a resource that can be imported in bulk.

A streamed row may name its platform (`platformName`) instead of giving its id.
"""

from typing import Annotated, Final

from pydantic import Field

from bulkport.fastapi.schemas import WireModel
from bulkport.identifiers import MAX_BIGINT
from bulkport.imports.resource import Reference, Resource
from bulkport.imports.validation import NotBlank
from bulkport.imports.write_options import WriteMode

HowTo = Annotated[str, NotBlank, Field(max_length=250, examples=["List all running containers"])]
CommandLine = Annotated[str, NotBlank, Field(examples=["docker ps"])]
PlatformId = Annotated[int, Field(gt=0, le=MAX_BIGINT, examples=[1])]


class CommandRow(WireModel):
    """One command as a client sends it."""

    how_to: HowTo
    command_line: CommandLine
    platform_id: PlatformId


COMMANDS: Final = Resource(
    name="commands",
    label="Command",
    label_field="how_to",
    model=CommandRow,
    table="public.commands",
    key=("platform_id", "how_to"),
    modes=tuple(WriteMode),
    references=(
        Reference(
            "platform_id",
            table="public.platforms",
            label="Platform",
            lookup_field="platform_name",
            lookup_column="platform_name",
        ),
    ),
)
