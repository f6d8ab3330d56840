"""Making the jobs of recurring jobs when they are due. Every worker does it; each tick is acted on once."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, takewhile
from typing import Final

import psycopg
from psycopg.rows import DictRow

from bulkport.jobs.errors import InvalidSchedule
from bulkport.jobs.port.recurring import MissedRuns, RecurringDefinition
from bulkport.jobs.postgres import recurring_queries as queries
from bulkport.jobs.postgres.connection import GivenUp, WorkerConnection
from bulkport.jobs.postgres.maintenance import Chore
from bulkport.jobs.postgres.recurring import write_declared
from bulkport.jobs.postgres.recurring_queries import TICK
from bulkport.jobs.schedule import Schedule
from bulkport.logs import get_logger

ON_TIME: Final = timedelta(seconds=60)
"""A tick acted on this late is not a missed one: the shortest schedule has a minute between two."""
MOST_MISSED: Final = 100
"""So many ticks are made up for by `MissedRuns.ALL`."""


@dataclass(frozen=True, slots=True)
class TickPlan:
    """What to do now."""

    jobs: int
    """How many jobs to make."""
    last_at: datetime
    """The latest tick that is acted on."""
    next_at: datetime | None
    """The next tick, later than now."""
    note: str | None
    """A note for display."""


def plan_ticks(
    schedule: Schedule, missed: MissedRuns, *, due_at: datetime, now: datetime, unfinished_job: int | None
) -> TickPlan:
    """Decide about all ticks from `due_at` to `now`.

    Parameters
    ----------
    due_at
        The first missed tick; not later than `now`.
    unfinished_job
        A job of an earlier tick that has not ended, if that forbids another; otherwise None.
    """
    # One more than are ever made up for: to count all would take long after a year.
    ticks = [due_at, *islice(takewhile(lambda tick: tick <= now, schedule.ticks_after(due_at)), MOST_MISSED)]
    number = f"more than {MOST_MISSED}" if len(ticks) > MOST_MISSED else str(len(ticks))
    last_at, next_at = ticks[-1], schedule.next_after(now)
    is_on_time = _is_on_time(schedule, due_at, now)
    if unfinished_job is not None:
        return TickPlan(0, last_at, next_at, f"no job was created: job {unfinished_job} has not ended")
    if missed is MissedRuns.SKIP and not is_on_time:
        return TickPlan(0, last_at, next_at, f"no job was created: {_ticks(number)} missed, as no worker ran")
    if len(ticks) == 1:
        note = None if is_on_time else f"late since {due_at.isoformat(timespec='minutes')}: no worker ran"
        return TickPlan(1, last_at, next_at, note)
    if missed is MissedRuns.ALL:
        jobs = min(len(ticks), MOST_MISSED)
        return TickPlan(jobs, last_at, next_at, f"{_ticks(number)} due together, as no worker ran: {jobs} jobs")
    return TickPlan(1, last_at, next_at, f"{_ticks(number)} due together, as no worker ran: one job")


def _is_on_time(schedule: Schedule, due_at: datetime, now: datetime) -> bool:
    if now - due_at <= ON_TIME:
        return True
    latest = schedule.next_after(now - ON_TIME - timedelta(microseconds=1))
    return latest is not None and latest <= now


def _ticks(number: str) -> str:
    return "1 tick was" if number == "1" else f"{number} ticks were"


_log = get_logger(__name__)

_AGAIN_SECONDS: Final = 0.02
"""Delay after a check that found due jobs: there may be more, or locked ones."""
_POSTPONED_SECONDS: Final = 60.0
_CHECK_SECONDS: Final = 30.0
"""Between two looks for ticks that lie too far ahead."""
_PATIENCE: Final = "100ms"
"""Longest wait for the locked row of a recurring job."""
_CHECKED: Final = 500
"""Recurring jobs per statement of such a check."""


class CronScheduler:
    """Acts on due ticks.

    Parameters
    ----------
    connection
        The worker's connection.
    declared
        The recurring jobs that this process declares in code. They are written before the first tick.
    horizon_seconds
        Longest time between two looks.
    """

    def __init__(
        self, connection: WorkerConnection, declared: Mapping[str, RecurringDefinition], horizon_seconds: float = 5.0
    ) -> None:
        self._connection = connection
        self._declared = declared
        self._horizon = horizon_seconds
        self._is_written = False
        self._check_at = 0.0

    def chore(self) -> Chore:
        """The worker's part in it."""
        return Chore(TICK, self._horizon, self.tick)

    async def tick(self) -> float:
        """Act on everything that is due.

        Returns
        -------
        Seconds until the next look: to the moment if a tick comes before the longest time is over.

        Raises
        ------
        psycopg.Error
            The database cannot be asked.
        """
        if not self._is_written:
            # Locked rows are written at a later check, because other maintenance shares the connection.
            self._is_written = await write_declared(self._connection.fetch_all, self._declared, _PATIENCE)
        if time.monotonic() >= self._check_at:
            self._check_at = time.monotonic() + _CHECK_SECONDS
            await self._put_right()
        arguments = {"horizon": self._horizon, "declared": list(self._declared)}
        rows = await self._connection.fetch_all(queries.LIST_DUE, arguments)
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
            acted = await self._connection.fetch_all(queries.ACT, arguments)
        except GivenUp:
            raise
        except psycopg.Error as error:
            # One that cannot be enqueued does not hold up the others.
            await self._postpone(due, f"no job was created: {error.diag.message_primary or error}")
            return
        if acted:
            level = _log.info if plan.note is None else _log.warning
            level("recurring job is due", recurring_id=due["id"], job_ids=acted[0]["job_ids"], note=plan.note)

    async def _put_right(self) -> None:
        """Correct next ticks that lie ahead of the schedule's: the database's clock was fast when they were set."""
        after = ""
        while True:
            arguments = {"after": after, "declared": list(self._declared), "limit": _CHECKED}
            rows = await self._connection.fetch_all(queries.LIST_AHEAD, arguments)
            for row in rows:
                after = row["id"]
                try:
                    next_at = Schedule(row["cron"], row["timezone"]).next_after(row["now"])
                except InvalidSchedule:
                    continue
                if next_at is None or next_at >= row["due_at"]:
                    continue
                set_for = row["due_at"].isoformat(timespec="minutes")
                note = f"the next tick was set for {set_for} by a clock that was fast"
                if await self._connection.fetch_all(queries.PUT_RIGHT, row | {"next_at": next_at, "note": note}):
                    _log.warning("recurring job corrected", recurring_id=row["id"], note=note)
            if len(rows) < _CHECKED:
                return

    async def _postpone(self, due: DictRow, note: str) -> None:
        postponed = await self._connection.fetch_all(
            queries.POSTPONE, due | {"delay": _POSTPONED_SECONDS, "note": note}
        )
        if postponed:
            _log.error("recurring job cannot run", recurring_id=due["id"], error=note)
