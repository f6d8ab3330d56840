"""Making the jobs of recurring jobs when they are due. Every worker does it; each tick is acted on once."""

from collections.abc import Mapping
from typing import Final

import psycopg
from psycopg.rows import DictRow

from bulkport.jobs.port.recurring import MissedRuns, RecurringDefinition
from bulkport.jobs.procrastinate_engine import recurring_queries as queries
from bulkport.jobs.procrastinate_engine.housekeeping import Chore
from bulkport.jobs.procrastinate_engine.link import DatabaseLink, LinkClosed
from bulkport.jobs.procrastinate_engine.recurring_queries import TICK
from bulkport.jobs.procrastinate_engine.recurring_store import write_declared
from bulkport.jobs.recurring.errors import InvalidSchedule
from bulkport.jobs.recurring.schedule import Schedule
from bulkport.jobs.recurring.ticks import plan_ticks
from bulkport.logs import get_logger

_log = get_logger(__name__)

_AGAIN_SECONDS: Final = 0.02
"""Until the next look after something was due: more may be, or another server holds it."""
_POSTPONED_SECONDS: Final = 60.0


class RecurringTicker:
    """Acts on due ticks.

    Parameters
    ----------
    link
        The worker's connection.
    declared
        The recurring jobs that this process declares in code. They are written before the first tick.
    horizon_seconds
        Longest time between two looks.
    """

    def __init__(
        self, link: DatabaseLink, declared: Mapping[str, RecurringDefinition], horizon_seconds: float = 5.0
    ) -> None:
        self._link = link
        self._declared = declared
        self._horizon = horizon_seconds
        self._is_written = False

    def chore(self) -> Chore:
        """The worker's part in it."""
        return Chore(TICK, self._horizon, self.tick)

    async def tick(self) -> float:
        """Act on what is due.

        Returns
        -------
        Seconds until the next look: to the moment if a tick comes before the longest time is over.

        Raises
        ------
        psycopg.Error
            The database cannot be asked.
        """
        if not self._is_written:
            await write_declared(self._link.fetch_all, self._declared)
            self._is_written = True
        arguments = {"horizon": self._horizon, "declared": list(self._declared)}
        rows = await self._link.fetch_all(queries.LIST_DUE, arguments)
        due = [row for row in rows if row["seconds_left"] <= 0]
        for row in due:
            await self._act(row)
        if due:
            return _AGAIN_SECONDS
        return min((row["seconds_left"] for row in rows), default=self._horizon)

    async def _act(self, due: DictRow) -> None:
        try:
            plan = plan_ticks(
                Schedule(due["cron"], due["timezone"]),
                MissedRuns(due["missed"]),
                due_at=due["due_at"],
                now=due["now"],
                unfinished_job=due["unfinished_job"],
            )
        except InvalidSchedule as error:
            # Another server may know the zone; this one looks again later.
            await self._postpone(due, str(error))
            return
        arguments = due | {"jobs": plan.jobs, "last_at": plan.last_at, "next_at": plan.next_at, "note": plan.note}
        try:
            acted = await self._link.fetch_all(queries.ACT, arguments)
        except LinkClosed:
            raise
        except psycopg.Error as error:
            # One that cannot be enqueued does not hold up the others.
            await self._postpone(due, f"no job was made: {error.diag.message_primary or error}")
            return
        if acted:
            level = _log.info if plan.note is None else _log.warning
            level("recurring job is due", recurring_id=due["id"], job_ids=acted[0]["job_ids"], note=plan.note)

    async def _postpone(self, due: DictRow, note: str) -> None:
        postponed = await self._link.fetch_all(queries.POSTPONE, due | {"delay": _POSTPONED_SECONDS, "note": note})
        if postponed:
            _log.error("recurring job cannot run", recurring_id=due["id"], error=note)
