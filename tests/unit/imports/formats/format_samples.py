"""What the tests of the formats share: small limits, a resource, and ways to feed a splitter."""

from collections import deque
from collections.abc import Iterable, Sequence

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from bulkport.imports.formats import BodyChunk, Decompressor, RecordSplitter
from bulkport.imports.resource import Reference, Resource
from bulkport.limits import ImportLimits


class PlatformRow(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)
    platform_name: str = Field(max_length=100)


class CommandRow(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)
    how_to: str
    command_line: str
    platform_id: int
    note: str | None = None


PLATFORMS = Resource(
    name="platforms", label="Platform", label_field="platform_name", model=PlatformRow, table="platforms"
)
COMMANDS = Resource(
    name="commands",
    label="Command",
    label_field="how_to",
    model=CommandRow,
    table="commands",
    references=(
        Reference(
            "platform_id",
            table="platforms",
            label="Platform",
            lookup_field="platform_name",
            lookup_column="platform_name",
        ),
    ),
)
SMALL = ImportLimits(chunk_bytes=24, max_record_bytes=400)
"""Chunks so small that a short body is cut many times."""


def split(splitter: RecordSplitter, bites: Iterable[bytes]) -> list[BodyChunk]:
    """The chunks of a body that arrives in these pieces."""
    chunks = [chunk for bite in bites for chunk in splitter.feed(bite)]
    return [*chunks, *splitter.finish()]


def bites_of(body: bytes, sizes: Sequence[int]) -> list[bytes]:
    """The body cut into bites of these sizes, again and again."""
    bites, position, turn = [], 0, 0
    while position < len(body):
        size = sizes[turn % len(sizes)]
        bites.append(body[position : position + size])
        position, turn = position + size, turn + 1
    return bites


def feed_all(taker: RecordSplitter | Decompressor, bites: Iterable[bytes]) -> None:
    """Feed small chunks and discard the output."""
    for bite in bites:
        deque(taker.feed(bite), maxlen=0)
