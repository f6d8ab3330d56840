"""Slots for expensive work: limited in this process and per user."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bulkport.errors import ServiceUnavailable, TooManyRequests


class Slots:
    """Hands out the places. Whoever finds none waits a moment: most work of the kind is done in less than a second.

    A place that becomes free goes to the user who has the fewest of those who wait for one, so that a user with a
    hundred requests in line keeps another's from the next place only, not from all.

    Parameters
    ----------
    what:
        Noun for the messages, such as `uploads`.
    in_all, per_user:
        Places.
    wait_seconds:
        Longest wait for one.
    refusal:
        Error for a user who has as many as one may have.
    """

    def __init__(
        self,
        what: str,
        *,
        in_all: int,
        per_user: int,
        wait_seconds: float,
        refusal: type[TooManyRequests] = TooManyRequests,
    ) -> None:
        self._what = what
        self._in_all = in_all
        self._per_user = per_user
        self._wait_seconds = wait_seconds
        self._refusal = refusal
        self._of_user: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        """Waiters by user, with users in the order of their turns."""
        self.taken = 0
        """Places in use."""

    @asynccontextmanager
    async def slot(self, user_id: str) -> AsyncIterator[None]:
        """A place for as long as the context lasts.

        Raises
        ------
        TooManyRequests
            The user has as many as one user may have.
        ServiceUnavailable
            All places are taken.
        """
        await self.take(user_id)
        try:
            yield
        finally:
            self.give_back(user_id)

    async def take(self, user_id: str) -> None:
        """Take a slot, as `slot` does; the caller must release it."""
        if self._is_free(user_id):
            self._grant(user_id)
        else:
            await self._wait(user_id)

    def give_back(self, user_id: str) -> None:
        """Release a slot."""
        self.taken -= 1
        self._of_user[user_id] -= 1
        if not self._of_user[user_id]:
            del self._of_user[user_id]
        while self._waiting and self.taken < self._in_all and (next_user := self._next_user()) is not None:
            waiting = self._waiting.pop(next_user)
            given = waiting.popleft()
            if waiting:
                self._waiting[next_user] = waiting
            if not given.done():
                self._grant(next_user)
                given.set_result(None)

    def _is_free(self, user_id: str) -> bool:
        return self.taken < self._in_all and self._of_user[user_id] < self._per_user

    def _grant(self, user_id: str) -> None:
        self.taken += 1
        self._of_user[user_id] += 1

    def _next_user(self) -> str | None:
        able = (user_id for user_id in self._waiting if self._of_user[user_id] < self._per_user)
        return min(able, key=self._of_user.__getitem__, default=None)

    async def _wait(self, user_id: str) -> None:
        given: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(user_id, deque()).append(given)
        try:
            async with asyncio.timeout(self._wait_seconds):
                await given
        except BaseException as error:
            if given.done() and not given.cancelled():
                self.give_back(user_id)
            self._forget(user_id, given)
            if isinstance(error, TimeoutError):
                raise self._error(user_id) from None
            raise

    def _forget(self, user_id: str, given: asyncio.Future[None]) -> None:
        waiting = self._waiting.get(user_id)
        if waiting is not None and given in waiting:
            waiting.remove(given)
            if not waiting:
                del self._waiting[user_id]

    def _error(self, user_id: str) -> ServiceUnavailable | TooManyRequests:
        if self._of_user[user_id] < self._per_user:
            return ServiceUnavailable(
                f"The server has reached its limit of {self.taken} concurrent {self._what}; try again shortly."
            )
        return self._refusal(
            f"You have reached the limit of {self._per_user} concurrent {self._what}; try again when one has finished."
        )
