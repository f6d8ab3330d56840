"""Recurring jobs with real workers: one job a tick however many there are, and also when one is killed."""

import asyncio
import os
import signal
from datetime import UTC, datetime, timedelta
from typing import Any

import engine_worker
import pytest
from engine_site import EngineSite, eventually
from recurring_site import HOURLY, RecurringSite, changed

from bulkport.jobs import JobState, schedule
from bulkport.jobs.port import WorkerOptions
from bulkport.jobs.postgres import PostgresEngine
from bulkport.jobs.worker import WorkerServer

# Each tick of these tests is brought about: it would be a minute to the next one.
MINUTELY = changed(id="minutely", cron="* * * * *")


async def let_it_be_due(site: RecurringSite, recurring_id: str, seconds: float = 0.0) -> None:
    await site.set(f"next_at = clock_timestamp() + make_interval(secs => {seconds})", recurring_id)
    await site.connection.execute("SELECT bulkport.notify_workers('recurring', %s)", (str(seconds),))


async def test_two_workers_make_one_job_a_tick_and_a_killed_one_loses_none(
    site: EngineSite, recurring_site: RecurringSite
) -> None:
    names = [f"job-{number}" for number in range(4)]
    for name in names:
        await recurring_site.store.add_or_update(changed(id=name, cron="0 0 1 1 *"))

    async def have_made(count: int) -> None:
        async def has() -> bool:
            return [len(await recurring_site.jobs(name)) for name in names] == [count] * len(names)

        await eventually(has, f"{count} jobs of each")

    hasty = {"heartbeat": 0.25, "stalled": 1.25}
    async with site.process("one", **hasty) as one, site.process("two", **hasty):
        for tick in range(1, 5):
            for name in names:
                await let_it_be_due(recurring_site, name, 0.05)
            await have_made(tick)
        for name in names:
            await let_it_be_due(recurring_site, name, 0.1)
        os.kill(one.pid, signal.SIGKILL)
        await have_made(5)
        for name in names:
            await let_it_be_due(recurring_site, name)
        await have_made(6)
        for name in names:
            for job_id in await recurring_site.jobs(name):
                await site.reaches(str(job_id), JobState.SUCCEEDED)  # type: ignore[arg-type]
    assert [len(await recurring_site.jobs(name)) for name in names] == [6] * 4


async def test_a_tick_does_not_come_early(site: EngineSite, recurring_site: RecurringSite) -> None:
    async with site.worker():
        await recurring_site.store.add_or_update(MINUTELY)
        await let_it_be_due(recurring_site, "minutely", 0.5)
        due_at = (await recurring_site.found("minutely")).next_at
        await site.happens("tick")
    assert await site.value("SELECT min(at) >= %s FROM runs", due_at)


async def test_jobs_that_must_not_overlap_run_one_after_another(
    site: EngineSite, recurring_site: RecurringSite
) -> None:
    """By hand one can be made while another runs: it waits for its turn. A tick is left out."""
    waiting = changed(id="waiting", task="wait", args={"gate": "gate"}, overlap=False)
    await recurring_site.store.add_or_update(waiting)
    async with site.worker(poll_seconds=0.1):
        first = await recurring_site.store.trigger("waiting")
        await site.happens("begun", first)
        second = await recurring_site.store.trigger("waiting")
        await let_it_be_due(recurring_site, "waiting")

        async def is_left_out() -> bool:
            note = (await recurring_site.found("waiting")).last_note
            return note == f"no job was created: job {first} has not ended"

        await eventually(is_left_out, "a tick left out")
        assert await site.events(second) == []
        assert len(await recurring_site.jobs("waiting")) == 2
        await site.open_gate()
        await site.reaches(second, JobState.SUCCEEDED)
    assert await site.events() == ["begun", "ended", "begun", "ended"]


async def test_declarations_are_written_when_a_worker_starts(site: EngineSite, recurring_site: RecurringSite) -> None:
    engine, stop = PostgresEngine(), asyncio.Event()
    engine_worker.Tasks(site.url, "declaring").declare(engine)
    engine.recurring.declare(HOURLY)
    running = asyncio.create_task(WorkerServer(engine, WorkerOptions(site.url, "declaring")).run(stop))
    try:

        async def is_written() -> bool:
            return await recurring_site.store.get("hourly") is not None

        await eventually(is_written, "the declared job is written")
        await let_it_be_due(recurring_site, "hourly")
        await site.happens("tick")
    finally:
        stop.set()
        await running


@pytest.mark.parametrize("offset", [timedelta(minutes=-1), timedelta(minutes=1), timedelta(days=400)])
async def test_the_clock_of_the_database_counts(
    recurring_site: RecurringSite, monkeypatch: pytest.MonkeyPatch, offset: timedelta
) -> None:
    """A server whose clock is wrong neither misses a tick nor makes one up."""

    class WrongClock(datetime):
        @classmethod
        def now(cls, tz: Any = UTC) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + offset

    monkeypatch.setattr(schedule, "datetime", WrongClock)
    monkeypatch.setattr("time.time", (datetime.now(UTC) + offset).timestamp)
    added = await recurring_site.store.add_or_update(MINUTELY)
    assert added.next_at is not None
    now = await recurring_site.value("SELECT clock_timestamp()")
    assert timedelta(0) < added.next_at - now <= timedelta(minutes=1)
    await recurring_site.set("next_at = clock_timestamp() + interval '30 seconds'", "minutely")
    async with recurring_site.ticker() as ticker:
        await ticker.tick()
        assert await recurring_site.jobs("minutely") == []
        await recurring_site.set("next_at = clock_timestamp()", "minutely")
        await ticker.tick()
        await ticker.tick()
    assert len(await recurring_site.jobs("minutely")) == 1
    found = await recurring_site.found("minutely")
    assert found.next_at is not None
    now = await recurring_site.value("SELECT clock_timestamp()")
    assert timedelta(0) < found.next_at - now <= timedelta(minutes=1)
