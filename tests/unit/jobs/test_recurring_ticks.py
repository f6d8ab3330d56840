"""What due ticks come to, by the policy for missed ones."""

from datetime import UTC, datetime, timedelta

import pytest

from bulkport.jobs.port.recurring import MissedRuns
from bulkport.jobs.postgres.cron import TickPlan, plan_ticks
from bulkport.jobs.schedule import Schedule

HOURLY = Schedule("0 * * * *")
NINE = datetime(2026, 5, 1, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)


def plan(missed: MissedRuns, late: timedelta, unfinished_job: int | None = None) -> TickPlan:
    return plan_ticks(HOURLY, missed, due_at=NINE, now=NINE + late, unfinished_job=unfinished_job)


@pytest.mark.parametrize("missed", list(MissedRuns))
@pytest.mark.parametrize("late", [0.0, 0.001, 59.9, 60.0])
def test_a_tick_on_time_makes_one_job(missed: MissedRuns, late: float) -> None:
    assert plan(missed, timedelta(seconds=late)) == TickPlan(1, NINE, NINE + HOUR, None)


@pytest.mark.parametrize(("missed", "jobs"), [(MissedRuns.SKIP, 0), (MissedRuns.ONCE, 1), (MissedRuns.ALL, 3)])
def test_a_policy_decides_about_missed_ticks(missed: MissedRuns, jobs: int) -> None:
    found = plan(missed, 2.5 * HOUR)
    assert (found.jobs, found.last_at, found.next_at) == (jobs, NINE + 2 * HOUR, NINE + 3 * HOUR)
    assert found.note is not None
    assert "3 ticks were" in found.note


@pytest.mark.parametrize(("missed", "jobs"), [(MissedRuns.SKIP, 1), (MissedRuns.ONCE, 1), (MissedRuns.ALL, 3)])
def test_a_tick_on_time_after_missed_ones_makes_its_job(missed: MissedRuns, jobs: int) -> None:
    assert plan(missed, 2 * HOUR + timedelta(seconds=5)).jobs == jobs


def test_one_late_tick_shows_its_original_time() -> None:
    assert plan(MissedRuns.ONCE, 0.5 * HOUR).note == "late since 2026-05-01T09:00+00:00: no worker ran"
    assert plan(MissedRuns.SKIP, 0.5 * HOUR).note == "no job was created: 1 tick was missed, as no worker ran"


def test_at_most_a_hundred_missed_ticks_are_made_up_for() -> None:
    assert plan(MissedRuns.ALL, 98.5 * HOUR).jobs == 99
    assert plan(MissedRuns.ALL, 99.5 * HOUR).jobs == 100
    found = plan(MissedRuns.ALL, 24 * 365 * HOUR)
    assert (found.jobs, found.next_at) == (100, NINE + (24 * 365 + 1) * HOUR)
    assert found.note == "more than 100 ticks were due together, as no worker ran: 100 jobs"


@pytest.mark.parametrize("missed", list(MissedRuns))
def test_an_unfinished_job_prevents_another(missed: MissedRuns) -> None:
    found = plan(missed, 2.5 * HOUR, unfinished_job=7)
    assert (found.jobs, found.next_at) == (0, NINE + 3 * HOUR)
    assert found.note == "no job was created: job 7 has not ended"


def test_a_tick_that_the_schedule_no_longer_has_still_counts() -> None:
    """The zone's rules changed since the tick was announced, or it was moved manually: it still counts."""
    odd = NINE + timedelta(minutes=20)
    found = plan_ticks(HOURLY, MissedRuns.ONCE, due_at=odd, now=odd, unfinished_job=None)
    assert found == TickPlan(1, odd, NINE + HOUR, None)
