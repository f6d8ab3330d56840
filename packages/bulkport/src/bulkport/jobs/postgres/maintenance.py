"""Chores that keep the history: moving deltas into counts and time series, and pruning old jobs."""

from datetime import timedelta
from typing import Final, LiteralString

from bulkport.jobs.postgres.chores import Chore
from bulkport.jobs.postgres.connection import WorkerConnection
from bulkport.jobs.retention import RetentionPolicy
from bulkport.logs import get_logger

_log = get_logger(__name__)

ROLL_UP_SECONDS: Final = 1.0
PRUNE_SECONDS: Final = 300.0
MOST_MOVED: Final = 20_000
"""Deltas moved in one transaction."""
MOST_PRUNED: Final = 500
"""Jobs, or batches, pruned in one transaction."""
ABANDONED_AFTER: Final = timedelta(days=7)
"""Without a new job, a batch that is still open is taken for one whose maker has died."""
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
        """Move what there is, at most `MOST_MOVED` deltas; gives 0 when there may be more."""
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
    """Removes what has been kept for long enough, and closes batches that have been left open."""

    async def prune() -> float | None:
        pruned, is_more = 0, False
        rows = await connection.fetch_all(_ABANDON_BATCHES, {"age": ABANDONED_AFTER, "most": MOST_PRUNED})
        if rows[0]["sealed"]:
            _log.warning("open batches sealed that nobody puts jobs into any more", batches=rows[0]["sealed"])
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
    """How long a batch is kept that has no jobs any more; None: for good."""
    ages = [age for _, age in policy.ages()]
    return max(ages) if ages else None
