"""Chores: what a worker does beside running jobs, such as releasing jobs that came due.

Every worker does every chore; that several do it at one time must be safe.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import psycopg

from bulkport.jobs.postgres import queries
from bulkport.jobs.postgres.connection import GivenUp, WorkerConnection
from bulkport.logs import get_logger

_log = get_logger(__name__)

RELEASE_DUE: Final = "due"
SETTLE: Final = "settle"
_MOST_RELEASED: Final = 500
_SHORTEST_WAIT_SECONDS: Final = 0.02
_LOCKED_WAIT_SECONDS: Final = 0.2
"""Until the next look for a job that is due but that somebody else holds."""


@dataclass(frozen=True, slots=True)
class Chore:
    """Something to be done again and again.

    An error in it is logged and ends neither the worker nor the other chores; it is done again after the interval.
    """

    name: str
    """Unique in a worker. `bulkport.notify_workers(name, seconds)` in SQL has all workers do it sooner."""
    interval_seconds: float
    """Longest wait from the end of one run to the next."""
    run: Callable[[], Awaitable[float | None]]
    """Do it; gives the seconds until it wants to be done again, if that is less than the interval."""
    details: list[str] = field(default_factory=list)
    """What was said with the wishes that it be done sooner; it takes them away."""


class Chores:
    """Does chores, each in its own rhythm."""

    def __init__(self, chores: Iterable[Chore]) -> None:
        self._rhythms = {chore.name: _Rhythm(chore) for chore in chores}

    async def run(self) -> None:
        """Do them until cancelled."""
        async with asyncio.TaskGroup() as group:
            for rhythm in self._rhythms.values():
                group.create_task(rhythm.run(), name=f"chore {rhythm.name}")

    def hurry(self, name: str, seconds: float, detail: str = "") -> None:
        """Do a chore in so many seconds, if not sooner. One that is not done here is ignored."""
        if (rhythm := self._rhythms.get(name)) is not None:
            if detail:
                rhythm.chore.details.append(detail)
            rhythm.hurry(seconds)


class _Rhythm:
    """When one chore is done next."""

    def __init__(self, chore: Chore) -> None:
        self.chore = chore
        self._next = 0.0
        self._moved = asyncio.Event()

    @property
    def name(self) -> str:
        return self.chore.name

    def hurry(self, seconds: float) -> None:
        wanted = asyncio.get_running_loop().time() + seconds
        if wanted < self._next:
            self._next = wanted
            self._moved.set()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            # Set before the run, so that who hurries while it runs is heard.
            self._next = loop.time() + self.chore.interval_seconds
            wish = await self._do()
            if wish is not None:
                self.hurry(max(wish, _SHORTEST_WAIT_SECONDS))
            await self._wait(loop)

    async def _do(self) -> float | None:
        try:
            return await self.chore.run()
        except GivenUp:
            _log.info("chore left undone: the worker is stopping and the database is away", chore=self.name)
        except psycopg.Error as error:
            _log.warning("chore failed", chore=self.name, error=str(error).strip())
        except Exception:
            # A chore that errs must not end the worker.
            _log.exception("chore failed", chore=self.name)
        return None

    async def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        while (left := self._next - loop.time()) > 0:
            self._moved.clear()
            try:
                async with asyncio.timeout(left):
                    await self._moved.wait()
            except TimeoutError:
                return


def due_chore(connection: WorkerConnection, poll_seconds: float) -> Chore:
    """Releases scheduled jobs and those between two attempts when their time comes."""

    async def release() -> float | None:
        row = (await connection.fetch_all(queries.RELEASE_DUE, {"most": _MOST_RELEASED}))[0]
        wish: float | None = row["next_seconds"]
        if wish is not None and wish <= 0 and not row["released"]:
            return _LOCKED_WAIT_SECONDS
        return wish

    return Chore(RELEASE_DUE, poll_seconds, release)


def settle_chore(connection: WorkerConnection, poll_seconds: float) -> Chore:
    """Ends batches when their jobs have ended, and goes after what waits for other jobs and was left behind."""
    batches: list[str] = []
    last_sweep = 0.0

    async def settle() -> float | None:
        nonlocal last_sweep
        named = {int(number) for detail in batches for number in detail.split(",") if number}
        batches.clear()
        locked: list[int] = []
        if named:
            rows = await connection.fetch_all(queries.SETTLE_BATCHES, {"ids": sorted(named)})
            locked = rows[0]["locked"]
        now = time.monotonic()
        if now - last_sweep >= poll_seconds / 2:
            last_sweep = now
            await connection.fetch_all(queries.SETTLE_LEFT, {})
        if locked:
            batches.append(",".join(map(str, locked)))
            return _SHORTEST_WAIT_SECONDS
        return None

    return Chore(SETTLE, poll_seconds, settle, batches)
