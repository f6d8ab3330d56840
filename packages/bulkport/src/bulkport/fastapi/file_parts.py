"""Sends files in parts."""

from collections.abc import AsyncIterator

from bulkport.identifiers import UserId
from bulkport.slots import Slots


async def in_slot(parts: AsyncIterator[bytes], slots: Slots, user_id: UserId) -> AsyncIterator[bytes]:
    """The parts of a file, which occupies a slot while it is written.

    Raises
    ------
    TooManyRequests, ServiceUnavailable
        There is no place.
    """
    async with slots.slot(user_id):
        async for part in parts:
            yield part


async def whole(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """A file whose first part was read before the answer began."""
    yield first
    async for part in rest:
        yield part
