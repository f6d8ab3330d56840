"""Places for work that is dear: so many at one time in this process, and so many of one user."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bulkport.errors import ServiceUnavailable, TooManyRequests


class Slots:
    """Hands out the places. Whoever finds none waits a moment: most work of the kind is done in less than a second.

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
        self._waiting: dict[asyncio.Future[None], str] = {}

    @property
    def taken(self) -> int:
        """Places in use."""
        return self._of_user.total()

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
        if self._is_free(user_id):
            self._of_user[user_id] += 1
        else:
            await self._wait(user_id)
        try:
            yield
        finally:
            self._give_back(user_id)

    def _is_free(self, user_id: str) -> bool:
        return self.taken < self._in_all and self._of_user[user_id] < self._per_user

    async def _wait(self, user_id: str) -> None:
        given: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[given] = user_id
        try:
            async with asyncio.timeout(self._wait_seconds):
                await given
        except BaseException as error:
            if given.done() and not given.cancelled():
                self._give_back(user_id)
            if isinstance(error, TimeoutError):
                raise self._error() from None
            raise
        finally:
            self._waiting.pop(given, None)

    def _give_back(self, user_id: str) -> None:
        self._of_user[user_id] -= 1
        if not self._of_user[user_id]:
            del self._of_user[user_id]
        for given, waiting in list(self._waiting.items()):
            if not given.done() and self._is_free(waiting):
                self._of_user[waiting] += 1
                given.set_result(None)

    def _error(self) -> ServiceUnavailable | TooManyRequests:
        if self.taken >= self._in_all:
            return ServiceUnavailable(
                f"{self.taken} {self._what} are under way, this server's limit; try again shortly."
            )
        return self._refusal(
            f"You have {self._per_user} {self._what} under way, the most for one user; try again when one has ended."
        )
