"""The slots that one body occupies while it arrives."""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Final, Self

from bulkport.slots import Slots

WAITING_BYTES: Final = 64 * 1024
"""Decompressed bytes of a body that are buffered without a slot; most small imports are no longer."""


class BodySlots:
    """The slots of one body, released at the end of the context.

    A client may take minutes to send a body and have hundreds of requests in progress. A body longer than
    `WAITING_BYTES` therefore takes one of its user's memory slots, and one that is longer than a chunk, or is buffered
    in a file as workbooks are, one of its user's upload slots.

    Parameters
    ----------
    waiting, uploads
        The slots to take from.
    """

    def __init__(self, waiting: Slots, uploads: Slots, user_id: str) -> None:
        self._waiting = waiting
        self._uploads = uploads
        self._user_id = user_id
        self._taken = AsyncExitStack()
        self._is_uploading = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._taken.aclose()

    async def parts_of(
        self, body: AsyncIterable[bytes], require_room: Callable[[], Awaitable[None]]
    ) -> AsyncIterator[bytes]:
        """The body; takes a memory slot once it is long.

        Parameters
        ----------
        require_room
            Called with each further part; raises when what it becomes finds no room.

        Raises
        ------
        TooManyRequests, ServiceUnavailable
            There was no place in time.
        """
        size = 0
        async for part in body:
            if size > WAITING_BYTES:
                await require_room()
            elif size + len(part) > WAITING_BYTES:
                await self._taken.enter_async_context(self._waiting.slot(self._user_id))
            size += len(part)
            yield part

    async def upload(self) -> None:
        """Take a place for uploads, unless it has one; raises as `parts_of`."""
        if not self._is_uploading:
            await self._taken.enter_async_context(self._uploads.slot(self._user_id))
            self._is_uploading = True
