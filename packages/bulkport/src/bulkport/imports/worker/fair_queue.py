"""The fair queue: whose chunk this worker process works on next.

A worker has many slots for background jobs but works on few chunks at a time. Each chunk needs a turn, and turns go to
the user who has had the least work done, so that ten million rows of one user hold back another's ten by one chunk
at most. This is start-time fair queueing (Goyal, Vin, Cheng, 1996) with chunk seconds as cost.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count


@dataclass(order=True, slots=True)
class _Waiter:
    virtual_start: float
    order: int
    granted: asyncio.Future[None] = field(compare=False)
    user_id: str = field(compare=False)


class FairQueue:
    """Hands out turns to work on a chunk, `slots` at a time."""

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._waiting: list[_Waiter] = []
        self._order = count()
        self._now = 0.0
        """Virtual time: the start tag of the turn granted last."""
        self._finished: dict[str, float] = {}
        """Virtual time at which each user's last turn ended."""

    @asynccontextmanager
    async def turn(self, user_id: str) -> AsyncIterator[None]:
        """Wait for a turn, and hold it inside the block."""
        await self._acquire(user_id)
        started = time.monotonic()
        try:
            yield
        finally:
            self._finished[user_id] = max(self._finished.get(user_id, 0.0), self._now) + time.monotonic() - started
            self._release()

    async def _acquire(self, user_id: str) -> None:
        waiter = _Waiter(
            virtual_start=max(self._now, self._finished.get(user_id, 0.0)),
            order=next(self._order),
            granted=asyncio.get_running_loop().create_future(),
            user_id=user_id,
        )
        self._waiting.append(waiter)
        self._grant()
        try:
            await waiter.granted
        except asyncio.CancelledError:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            elif waiter.granted.done() and not waiter.granted.cancelled():
                self._release()
            raise

    def _grant(self) -> None:
        while self._free and self._waiting:
            # A user's later turns start after the earlier ones: tags may have moved on since the waiter came.
            for waiter in self._waiting:
                waiter.virtual_start = max(waiter.virtual_start, self._finished.get(waiter.user_id, 0.0))
            waiter = min(self._waiting)
            self._waiting.remove(waiter)
            self._free -= 1
            self._now = max(self._now, waiter.virtual_start)
            waiter.granted.set_result(None)

    def _release(self) -> None:
        self._free += 1
        # Users without recent work start like new ones and need not be remembered.
        self._finished = {user: at for user, at in self._finished.items() if at > self._now}
        self._grant()
