"""What is to be done about the ticks of a recurring job that are due. Pure; what time it is the caller says."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, takewhile
from typing import Final

from bulkport.jobs.port.recurring import MissedRuns
from bulkport.jobs.recurring.schedule import Schedule

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
    """What is special about it, for whoever looks."""


def plan_ticks(
    schedule: Schedule, missed: MissedRuns, *, due_at: datetime, now: datetime, unfinished_job: int | None
) -> TickPlan:
    """Decide about all ticks from `due_at` to `now`.

    Parameters
    ----------
    due_at
        The first tick that nobody acted on; not later than `now`.
    unfinished_job
        A job of an earlier tick that has not ended, if that forbids another; otherwise None.
    """
    # One more than are ever made up for: to count all would take long after a year.
    ticks = [due_at, *islice(takewhile(lambda tick: tick <= now, schedule.ticks_after(due_at)), MOST_MISSED)]
    number = f"more than {MOST_MISSED}" if len(ticks) > MOST_MISSED else str(len(ticks))
    last_at, next_at = ticks[-1], schedule.next_after(now)
    is_on_time = _is_on_time(schedule, due_at, now)
    if unfinished_job is not None:
        return TickPlan(0, last_at, next_at, f"no job was made: job {unfinished_job} has not ended")
    if missed is MissedRuns.SKIP and not is_on_time:
        return TickPlan(0, last_at, next_at, f"no job was made: {_ticks(number)} missed, as no worker ran")
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
