"""Limits the work spent on unauthenticated requests.

A request costs the server some work before it is refused, and anybody can send keys that do not exist. So requests
whose key was not valid lately share a narrow queue until their key is checked: a few of them are worked on at one time,
the others wait, by address in turns. Requests with a key that was valid lately pass them by. Which queue a request
takes is all that is remembered: each key is checked with each request. What needs no key (pages, health checks) has
narrow queues of its own, up to the start of each answer: hundreds of connections that ask at one time would else be
answered in one turn of the event loop, in which nobody else is.
"""

import asyncio
import hashlib
import sys
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bulkport.errors import TooManyRequests
from bulkport.identifiers import UserId
from bulkport.slots import Slots

KEY_HEADER: Final = "x-api-key"
STRANGERS_AT_ONCE: Final = 4
"""Requests with unknown keys that are worked on at one time in a server process."""
CHECKS_AT_ONCE: Final = 2
"""Keys that were valid lately and are checked at one time in a server process."""

_OF_ONE_ADDRESS: Final = STRANGERS_AT_ONCE - 1
_MOST_KNOWN: Final = 50_000
_LONGEST_SECONDS: Final = 1.0
"""A request that is not refused by then waits for something else than its key, such as a sign-in service."""
_HEADER: Final = KEY_HEADER.encode()
_PLACE: Final = "stranger_place"


class TooManyStrangers(TooManyRequests):
    """Too many concurrent requests without a valid key come from your address; try again shortly."""

    def __init__(self, detail: str | None = None) -> None:
        # The places are an address's, not a user's.
        del detail
        super().__init__()


class _Place:
    """A request's place in the queue of unknown keys."""

    def __init__(self, slots: Slots, address: str) -> None:
        self._slots = slots
        self._address = address
        self._timer = asyncio.get_running_loop().call_later(_LONGEST_SECONDS, self.leave)
        self._is_taken = True

    def leave(self) -> None:
        """Let the next one have it."""
        if self._is_taken:
            self._is_taken = False
            self._timer.cancel()
            self._slots.give_back(self._address)


class KeyAdmission:
    """Separates requests with a recently valid key from others, so that each kind queues only among itself.

    Parameters
    ----------
    wait_seconds:
        Longest wait for a place.
    """

    def __init__(self, wait_seconds: float) -> None:
        self._users: OrderedDict[bytes, UserId] = OrderedDict()
        """Whose keys were valid when they were last checked, by their digests; the latest last."""
        # No user can have too many of them: where there is no place in time, the database is unavailable or too busy.
        self._checks = Slots("key checks", in_all=CHECKS_AT_ONCE, per_user=sys.maxsize, wait_seconds=wait_seconds)
        self._strangers = Slots(
            "requests without a valid key",
            in_all=STRANGERS_AT_ONCE,
            per_user=_OF_ONE_ADDRESS,
            wait_seconds=wait_seconds,
            refusal=TooManyStrangers,
        )

        self._pages = Slots(
            "requests without a key",
            in_all=STRANGERS_AT_ONCE,
            per_user=_OF_ONE_ADDRESS,
            wait_seconds=wait_seconds,
            refusal=TooManyStrangers,
        )
        # Load balancers ask from one address, as everybody behind them does.
        self._health = Slots("health checks", in_all=STRANGERS_AT_ONCE, per_user=sys.maxsize, wait_seconds=wait_seconds)

    def lane(self, path: str) -> Slots:
        """Places for a request that needs no key."""
        return self._health if path.startswith("/health/") else self._pages

    @property
    def strangers(self) -> int:
        """Requests with unknown keys that are worked on."""
        return self._strangers.taken

    def knows(self, key: str | bytes) -> bool:
        """Whether the key was valid when it was last checked."""
        return _digest(key) in self._users

    async def enter(self, scope: Scope) -> None:
        """Wait for a place in the queue of unknown keys; `leave` gives it back.

        Raises
        ------
        TooManyStrangers, ServiceUnavailable
            There was none in time.
        """
        address = _address(scope)
        await self._strangers.take(address)
        scope.setdefault("state", {})[_PLACE] = _Place(self._strangers, address)

    def leave(self, scope: Scope) -> None:
        """Give the request's place to the next one, if it has one."""
        place: _Place | None = scope.get("state", {}).pop(_PLACE, None)
        if place is not None:
            place.leave()

    @asynccontextmanager
    async def checking(self, key: str) -> AsyncIterator[None]:
        """The turn of a request to have its key checked.

        Raises
        ------
        ServiceUnavailable
            There was none in time.
        """
        user_id = self._users.get(_digest(key))
        if user_id is None:  # it is in the other queue, or has been there for long
            yield
            return
        async with self._checks.slot(user_id):
            yield

    def accept(self, scope: Scope, key: str, user_id: UserId) -> None:
        """Note that a key is valid, and end its request's wait among strangers."""
        digest = _digest(key)
        self._users[digest] = user_id
        self._users.move_to_end(digest)
        if len(self._users) > _MOST_KNOWN:
            self._users.popitem(last=False)
        self.leave(scope)

    def refuse(self, key: str) -> None:
        """Note that a key is not valid, or not any more."""
        self._users.pop(_digest(key), None)


class SeparateStrangers:
    """Has requests without a key that was valid lately wait in queues of their own (ASGI 3)."""

    def __init__(self, app: ASGIApp, *, admission: KeyAdmission) -> None:
        self._app = app
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or (scope["path"].startswith("/api/") and self._is_known(scope)):
            await self._app(scope, receive, send)
            return
        if not scope["path"].startswith("/api/"):
            await self._serve_without_key(scope, receive, send)
            return
        await self._admission.enter(scope)
        try:
            await self._app(scope, receive, send)
        finally:
            self._admission.leave(scope)

    async def _serve_without_key(self, scope: Scope, receive: Receive, send: Send) -> None:
        lane, address = self._admission.lane(scope["path"]), _address(scope)
        await lane.take(address)
        has_place = True

        def leave() -> None:
            nonlocal has_place
            if has_place:
                has_place = False
                lane.give_back(address)

        async def send_on(message: Message) -> None:
            # Streams and slow readers do not keep others waiting.
            leave()
            await send(message)

        try:
            await self._app(scope, receive, send_on)
        finally:
            leave()

    def _is_known(self, scope: Scope) -> bool:
        return any(name == _HEADER and self._admission.knows(value) for name, value in scope["headers"])


def _digest(key: str | bytes) -> bytes:
    # Nothing that opens anything stays in memory.
    return hashlib.sha256(key if isinstance(key, bytes) else key.encode("latin-1", "replace")).digest()


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""
