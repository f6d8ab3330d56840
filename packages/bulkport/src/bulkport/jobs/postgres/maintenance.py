"""Chores: what a worker does beside running jobs. It releases jobs that came due, ends batches, moves deltas into
counts and time series, and prunes old jobs.

Every worker does every chore; that several do it at one time must be safe.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, LiteralString

import psycopg

from bulkport.jobs.port.engine import RetentionPolicy
from bulkport.jobs.postgres import queries
from bulkport.jobs.postgres.connection import GivenUp, WorkerConnection
from bulkport.logs import get_logger

RELEASE_DUE: Final = "due"
SETTLE: Final = "settle"
_MOST_RELEASED: Final = 500
_SHORTEST_WAIT_SECONDS: Final = 0.02
_LOCKED_WAIT_SECONDS: Final = 0.2
"""Delay until the next check for a due but locked job."""


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
    """Run the task; returns the seconds until its next run if shorter than the interval."""
    details: list[str] = field(default_factory=list)
    """Take and return the reasons given for hurrying."""


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
            # Set before the run, so that a request to hurry during the run counts.
            self._next = loop.time() + self.chore.interval_seconds
            wish = await self._do()
            if wish is not None:
                self.hurry(max(wish, _SHORTEST_WAIT_SECONDS))
            await self._wait(loop)

    async def _do(self) -> float | None:
        try:
            return await self.chore.run()
        except GivenUp:
            _log.info("maintenance skipped: the worker is stopping and the database is unavailable", chore=self.name)
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
    """Releases scheduled and retrying jobs when they are due."""

    async def release() -> float | None:
        row = (await connection.fetch_all(queries.RELEASE_DUE, {"most": _MOST_RELEASED}))[0]
        wish: float | None = row["next_seconds"]
        if wish is not None and wish <= 0 and not row["released"]:
            return _LOCKED_WAIT_SECONDS
        return wish

    return Chore(RELEASE_DUE, poll_seconds, release)


def settle_chore(connection: WorkerConnection, poll_seconds: float) -> Chore:
    """Ends batches whose jobs have ended, and finds continuations that were missed."""
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


_log = get_logger(__name__)

ROLL_UP_SECONDS: Final = 1.0
PRUNE_SECONDS: Final = 300.0
MOST_MOVED: Final = 20_000
"""Deltas moved in one transaction."""
MOST_PRUNED: Final = 500
"""Jobs, or batches, pruned in one transaction."""
ABANDONED_AFTER: Final = timedelta(days=7)
"""Age without a new job after which an open batch counts as abandoned."""
_VACUUM_BYTES: Final = 4 * 1024 * 1024

_ROLL_UP: Final[LiteralString] = "SELECT moved, deltas_bytes FROM bulkport.rollup(%(most)s)"
_VACUUM: Final[LiteralString] = "VACUUM bulkport.job_deltas"
_SIZE: Final[LiteralString] = "SELECT pg_relation_size('bulkport.job_deltas') AS bytes"
_PRUNE: Final[LiteralString] = """
SELECT pruned FROM bulkport.prune(%(state)s::bulkport.job_state, %(age)s::interval, %(most)s)
"""
_PRUNE_BATCHES: Final[LiteralString] = "SELECT bulkport.prune_batches(%(age)s::interval, %(most)s) AS pruned"
_ABANDON_BATCHES: Final[LiteralString] = "SELECT bulkport.abandon_batches(%(age)s::interval, %(most)s) AS sealed"


class Rollup:
    """Moves deltas, and has the space of those that were moved used again.

    Each call reads past the rows that were moved before, so the table is vacuumed when it has grown. A transaction
    that has been open for long keeps such rows in place; then the next vacuum waits until the table has doubled.
    """

    def __init__(self, connection: WorkerConnection) -> None:
        self._connection = connection
        self._vacuum_bytes = _VACUUM_BYTES

    def chore(self) -> Chore:
        """The worker's part in it."""
        return Chore("rollup", ROLL_UP_SECONDS, self.roll_up)

    async def roll_up(self) -> float | None:
        """Move at most `MOST_MOVED` deltas; return 0 if there may be more."""
        rows = await self._connection.fetch_all(_ROLL_UP, {"most": MOST_MOVED})
        if not rows:
            return None
        if rows[0]["moved"] == MOST_MOVED:
            return 0.0
        # Only now: the space of deltas that are still to be moved cannot be given back.
        if rows[0]["deltas_bytes"] > self._vacuum_bytes:
            await self._connection.fetch_all(_VACUUM, {})
            left = (await self._connection.fetch_all(_SIZE, {}))[0]["bytes"]
            self._vacuum_bytes = max(_VACUUM_BYTES, 2 * left)
        return None


def rollup_chore(connection: WorkerConnection) -> Chore:
    """Keeps counts and time series up to date."""
    return Rollup(connection).chore()


def prune_chore(connection: WorkerConnection, policy: RetentionPolicy) -> Chore:
    """Deletes finished jobs at the end of their retention, and seals abandoned batches."""

    async def prune() -> float | None:
        pruned, is_more = 0, False
        rows = await connection.fetch_all(_ABANDON_BATCHES, {"age": ABANDONED_AFTER, "most": MOST_PRUNED})
        if rows[0]["sealed"]:
            _log.warning("abandoned open batches sealed", batches=rows[0]["sealed"])
        for state, age in policy.ages():
            rows = await connection.fetch_all(_PRUNE, {"state": state.value, "age": age, "most": MOST_PRUNED})
            jobs = rows[0]["pruned"] if rows else 0
            pruned += jobs
            is_more |= jobs == MOST_PRUNED
        if (longest := _longest(policy)) is not None:
            rows = await connection.fetch_all(_PRUNE_BATCHES, {"age": longest, "most": MOST_PRUNED})
            is_more |= rows[0]["pruned"] == MOST_PRUNED
        if pruned:
            _log.info("old jobs pruned", jobs=pruned)
        return 0.0 if is_more else None

    return Chore("prune", PRUNE_SECONDS, prune)


def _longest(policy: RetentionPolicy) -> timedelta | None:
    """Retention of a batch that has no jobs any more; None: for ever."""
    ages = [age for _, age in policy.ages()]
    return max(ages) if ages else None
