"""Recurring jobs: stored and steered from any process, one run a tick, right over downtime and changes of clocks."""

import calendar
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import psycopg
import pytest
from conformance_site import ConformanceSite, Home, eventually
from conformance_tasks import IN_CODE

from bulkport.jobs import JobQuery, JobState
from bulkport.jobs.errors import InvalidSchedule, UnknownRecurringJob
from bulkport.jobs.port.recurring import RecurringJob
from bulkport.jobs.schedule import Schedule

RARELY = "0 0 1 1 *"


@pytest.fixture(scope="module", autouse=True)
def _servers(home: Home) -> Iterator[None]:
    # The wrong clock of one of them must make no difference to any of these tests.
    with home.server("one"), home.server("two", clock_seconds=60):
        yield


async def found(site: ConformanceSite, recurring_id: str) -> RecurringJob:
    recurring = await site.jobs.recurring.get(recurring_id)
    assert recurring is not None
    return recurring


async def jobs_of(site: ConformanceSite, recurring_id: str) -> int:
    return (await site.jobs.count(JobQuery(recurring_id=recurring_id))).jobs


async def acted_on(site: ConformanceSite, recurring_id: str, since: datetime | None) -> RecurringJob:
    """The recurring job, once a later tick than `since` was acted on."""

    async def is_newer() -> bool:
        last_at = (await found(site, recurring_id)).last_at
        return last_at is not None and (since is None or last_at > since)

    await eventually(is_newer, f"a tick of {recurring_id}", seconds=90)
    return await found(site, recurring_id)


async def test_a_recurring_job_can_be_added_changed_paused_resumed_triggered_and_removed_at_run_time(
    site: ConformanceSite,
) -> None:
    recurring = site.jobs.recurring
    made = await recurring.add_or_update(
        "night", site.tasks.add, cron="0 3 * * *", timezone="Europe/Berlin", args={"a": 4}, queue="nightly"
    )
    assert made.next_at is not None
    assert made.next_at.astimezone(ZoneInfo("Europe/Berlin")).hour == 3
    assert made.next_at > datetime.now(UTC)
    other = site.engine.application()
    async with other.connect(site.url):  # another process sees and changes the same
        changed = await other.recurring.add_or_update("night", site.tasks.add.call(5), cron="0 4 * * *")
        assert [each.id for each in await other.recurring.list("night")] == ["night"]
        assert (await other.recurring.pause("night")).paused_at is not None
    assert (changed.definition.args["a"], changed.definition.cron) == (5, "0 4 * * *")
    assert (await found(site, "night")).paused_at is not None
    job_id = await recurring.trigger("night")
    assert (await site.succeeds(job_id)).result == 6
    assert (await site.details(job_id)).job.recurring_id == "night"
    resumed = await recurring.resume("night")
    assert resumed.paused_at is None
    now = await found(site, "night")
    assert (now.last_job_id, now.last_job_state) == (job_id, JobState.SUCCEEDED)
    assert now.average_seconds is not None
    assert await recurring.remove("night")
    assert not await recurring.remove("night")
    assert await site.jobs.get(job_id) is not None
    assert await recurring.get("night") is None
    for steer in (recurring.pause, recurring.resume, recurring.trigger):
        with pytest.raises(UnknownRecurringJob):
            await steer("night")


async def test_a_recurring_job_declared_in_code_exists_once_a_server_runs_and_stays_paused(
    site: ConformanceSite,
) -> None:
    async def is_there() -> bool:
        return await site.jobs.recurring.get(IN_CODE) is not None

    await eventually(is_there, "a recurring job declared in code")
    assert (await found(site, IN_CODE)).in_code
    await site.jobs.recurring.pause(IN_CODE)
    with site.server("three"):
        await site.serving("three")
        assert (await found(site, IN_CODE)).paused_at is not None
        await site.jobs.recurring.resume(IN_CODE)
        await site.engine.miss_ticks(site.connection, IN_CODE, timedelta(0))
        ticked = await acted_on(site, IN_CODE, None)
        assert ticked.last_job_id is not None
        await site.succeeds(ticked.last_job_id)
    assert await jobs_of(site, IN_CODE) == 1


@pytest.mark.parametrize(
    ("cron", "zone", "reason"),
    [
        ("61 * * * *", "UTC", "61"),
        ("* * * *", "UTC", "4 fields"),
        ("often", "UTC", "fields"),
        ("0 0 30 2 *", "UTC", "never|day"),
        ("@often", "UTC", "shorthands"),
        ("0 3 * * *", "Mars/Olympus", "Mars/Olympus"),
        ("0 3 * * *", "../etc/passwd", "zone"),
    ],
)
async def test_a_bad_schedule_is_rejected_with_the_reason(
    site: ConformanceSite, cron: str, zone: str, reason: str
) -> None:
    with pytest.raises(InvalidSchedule, match=reason):
        await site.jobs.recurring.add_or_update("bad", site.tasks.add.call(1), cron=cron, timezone=zone)
    assert await site.jobs.recurring.get("bad") is None


async def test_a_recurring_job_added_in_a_rolled_back_transaction_does_not_exist(site: ConformanceSite) -> None:
    async with await psycopg.AsyncConnection.connect(site.url) as connection:
        await site.jobs.recurring.add_or_update(
            "rolled back", site.tasks.add.call(1), cron=RARELY, connection=connection
        )
        await connection.rollback()
    assert await site.jobs.recurring.get("rolled back") is None


def last_sunday(year: int, month: int) -> date:
    last = date(year, month, calendar.monthrange(year, month)[1])
    return last - timedelta(days=(last.weekday() + 1) % 7)


async def test_daylight_saving_changes_neither_skip_nor_double_a_tick(site: ConformanceSite) -> None:
    """In Berlin, the hour from 2 to 3 is skipped in March and repeated in October."""
    year = datetime.now(UTC).year + 1
    for month, hour in ((3, 1), (10, 0)):
        day = last_sunday(year, month)
        made = await site.jobs.recurring.add_or_update(
            f"change {month}",
            site.tasks.add.call(1),
            cron=f"30 2 {day.day} {month} *",
            timezone="Europe/Berlin",
        )
        assert made.next_at is not None
        # If that day comes this year as well, that one is first.
        if made.next_at.year == year:
            expected = datetime(year, month, day.day, hour, 0 if month == 3 else 30, tzinfo=UTC)
            assert made.next_at == expected
        schedule = Schedule("30 2 * * *", "Europe/Berlin")
        before = datetime(year, month, day.day, tzinfo=UTC) - timedelta(days=1)
        ticks = [
            tick.astimezone(ZoneInfo("Europe/Berlin")).date()
            for tick, _ in zip(schedule.ticks_after(before), range(4), strict=False)
        ]
        assert ticks == sorted(set(ticks))
        assert (ticks[-1] - ticks[0]).days == 3


async def test_each_tick_makes_one_job_however_many_servers_run(site: ConformanceSite) -> None:
    names = [f"tick {number}" for number in range(20)]
    for name in names:
        await site.jobs.recurring.add_or_update(name, site.tasks.add.call(1), cron=RARELY)
    for times in range(1, 4):
        for name in names:
            await site.engine.miss_ticks(site.connection, name, timedelta(0))

        async def all_ran(times: int = times) -> bool:
            return all([await jobs_of(site, name) >= times for name in names])

        await eventually(all_ran, f"tick {times} of all")
    for name in names:
        assert await jobs_of(site, name) == 3
        page = await site.jobs.search(JobQuery(recurring_id=name))
        for job in page.items:
            await site.succeeds(job.id)
            assert site.diary.events(job.id) == ["ran"]


async def test_a_tick_comes_on_the_minute_and_not_before(site: ConformanceSite) -> None:
    """The one test of the suite that waits for the clock: up to a minute."""
    names = [f"minute {number}" for number in range(5)]
    for name in names:
        made = await site.jobs.recurring.add_or_update(name, site.tasks.add.call(1), cron="* * * * *")
        assert made.next_at is not None
        assert timedelta(0) < made.next_at - made.created_at <= timedelta(minutes=1)
    for name in names:
        ticked = await acted_on(site, name, None)
        assert ticked.last_job_id is not None
        assert ticked.last_at is not None
        assert ticked.last_at.second == 0
        job = (await site.details(ticked.last_job_id)).job
        assert job.created_at >= ticked.last_at
        await site.succeeds(job.id)
        assert await jobs_of(site, name) == 1
        await site.jobs.recurring.remove(name)


@pytest.mark.parametrize(("missed", "count"), [("skip", 0), ("once", 1), ("all", 4)])
async def test_a_policy_decides_what_happens_after_downtime(site: ConformanceSite, missed: str, count: int) -> None:
    """Four ticks were missed by all servers: one three hours ago, and three since then."""
    name = f"missed {missed}"
    off_minute = (datetime.now(UTC).minute + 30) % 60
    await site.jobs.recurring.add_or_update(
        name,
        site.tasks.add.call(1),
        cron=f"{off_minute} * * * *",
        missed=missed,  # type: ignore[arg-type]
    )
    await site.engine.miss_ticks(site.connection, name, timedelta(hours=3))
    ticked = await acted_on(site, name, None)
    assert await jobs_of(site, name) == count
    assert ticked.last_note is not None
    assert ticked.next_at is not None
    assert ticked.next_at > datetime.now(UTC)


async def test_an_overlapping_tick_is_skipped_if_configured(site: ConformanceSite) -> None:
    await site.jobs.recurring.add_or_update("alone", site.tasks.stay.call("alone"), cron=RARELY, overlap=False)
    await site.engine.miss_ticks(site.connection, "alone", timedelta(0))
    first = await acted_on(site, "alone", None)
    assert first.last_job_id is not None
    await site.happens("begun", first.last_job_id)
    await site.engine.miss_ticks(site.connection, "alone", timedelta(0))

    async def is_left_out() -> bool:
        return (await found(site, "alone")).last_note is not None

    await eventually(is_left_out, "a tick left out")
    assert await jobs_of(site, "alone") == 1
    site.diary.open_gate("alone")
    await site.succeeds(first.last_job_id)


async def test_a_paused_recurring_job_makes_no_jobs(site: ConformanceSite) -> None:
    for name in ("still", "moving"):
        await site.jobs.recurring.add_or_update(name, site.tasks.add.call(1), cron=RARELY)
    await site.jobs.recurring.pause("still")
    for name in ("still", "moving"):
        await site.engine.miss_ticks(site.connection, name, timedelta(0))
    await acted_on(site, "moving", None)
    assert await jobs_of(site, "still") == 0
