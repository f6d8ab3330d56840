"""Due ticks make jobs: one for each, by the database's clock, whoever looks."""

import asyncio
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from recurring_site import HOURLY, RecurringSite, changed

from bulkport.jobs.port.recurring import MissedRuns

JUST_NOW = "next_at = date_trunc('second', clock_timestamp())"
LONG_AGO = "next_at = date_trunc('hour', clock_timestamp()) - interval '3 hours' - interval '1 day'"


async def test_a_due_tick_makes_one_job_and_advances(recurring_site: RecurringSite) -> None:
    await recurring_site.store.add_or_update(changed(queue="mail", priority=2))
    await recurring_site.set(JUST_NOW)
    due_at = (await recurring_site.found()).next_at
    async with recurring_site.ticker() as ticker:
        assert await ticker.tick() < 0.1
        await ticker.tick()
    (job_id,) = await recurring_site.jobs()
    found = await recurring_site.found()
    assert (found.last_at, found.last_note, found.last_job_id) == (due_at, None, str(job_id))
    assert found.next_at is not None
    assert found.next_at > await recurring_site.value("SELECT clock_timestamp()")
    cursor = await recurring_site.connection.execute("SELECT task, queue, priority, args FROM bulkport.all_jobs")
    assert await cursor.fetchone() == ("note", "mail", 2, {"text": "tick"})


async def test_concurrent_servers_act_once_on_a_tick(recurring_site: RecurringSite) -> None:
    for number in range(10):
        await recurring_site.store.add_or_update(changed(id=f"job-{number}"))
    async with recurring_site.ticker() as one, recurring_site.ticker() as two, recurring_site.ticker() as three:
        for _ in range(5):
            await recurring_site.connection.execute(f"UPDATE bulkport.recurring_jobs SET {JUST_NOW}")  # type: ignore[call-overload]
            await asyncio.gather(*(ticker.tick() for ticker in (one, two, three)))
    for number in range(10):
        assert len(await recurring_site.jobs(f"job-{number}")) == 5


async def test_a_tick_read_before_a_change_is_not_acted_on(
    recurring_site: RecurringSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look and the act the row changed: it was paused, or means something else now."""
    async with recurring_site.ticker() as ticker:
        act = ticker._act
        for change in ("paused_at = now()", "updated_at = now()", "next_at = next_at + interval '1 hour'"):
            await recurring_site.store.remove("hourly")
            await recurring_site.store.add_or_update(HOURLY)
            await recurring_site.set(JUST_NOW)

            async def change_first(due: Any, change: str = change) -> None:
                await recurring_site.set(change)
                await act(due)

            monkeypatch.setattr(ticker, "_act", change_first)
            await ticker.tick()
            assert await recurring_site.jobs() == []


async def test_a_locked_row_does_not_delay_the_worker(recurring_site: RecurringSite) -> None:
    await recurring_site.store.add_or_update(HOURLY)
    await recurring_site.set(JUST_NOW)
    async with recurring_site.ticker() as ticker:
        async with await psycopg.AsyncConnection.connect(recurring_site.url) as holder:
            await recurring_site.store.pause("hourly", holder)
            async with asyncio.timeout(60):
                await ticker.tick()
            assert await recurring_site.jobs() == []
            await holder.rollback()
        await ticker.tick()
    assert len(await recurring_site.jobs()) == 1


async def test_the_scheduler_wakes_on_time(recurring_site: RecurringSite) -> None:
    await recurring_site.store.add_or_update(HOURLY)
    async with recurring_site.ticker(horizon_seconds=200) as ticker:
        await recurring_site.set("next_at = clock_timestamp() + interval '300 seconds'")
        assert await ticker.tick() == 200
        await recurring_site.set("next_at = clock_timestamp() + interval '100 seconds'")
        assert 40 < await ticker.tick() < 100
        await recurring_site.set("next_at = clock_timestamp() + interval '0.2 seconds'")
        await asyncio.sleep(await ticker.tick() + 0.01)
        await ticker.tick()
    assert len(await recurring_site.jobs()) == 1


@pytest.mark.parametrize(
    ("missed", "jobs", "note"),
    [
        (MissedRuns.SKIP, 0, "no job was created: 28 ticks were missed"),
        (MissedRuns.ONCE, 1, "28 ticks were due together, as no worker ran: one job"),
        (MissedRuns.ALL, 28, "28 ticks were due together, as no worker ran: 28 jobs"),
    ],
)
async def test_after_downtime_the_policy_decides(
    recurring_site: RecurringSite, missed: MissedRuns, jobs: int, note: str
) -> None:
    # At half past, so that the hour's own tick is a missed one whenever the test runs.
    minute = (await recurring_site.value("SELECT extract(minute FROM clock_timestamp())::integer") + 30) % 60
    await recurring_site.store.add_or_update(changed(missed=missed, cron=f"{minute} * * * *"))
    await recurring_site.set("next_at = next_at - interval '28 hours'")
    async with recurring_site.ticker() as ticker:
        await ticker.tick()
        await ticker.tick()
    assert len(await recurring_site.jobs()) == jobs
    found = await recurring_site.found()
    assert found.last_note is not None
    assert note in found.last_note
    assert found.next_at is not None
    now = await recurring_site.value("SELECT clock_timestamp()")
    assert timedelta(0) < found.next_at - now <= timedelta(hours=1)


async def test_no_job_is_made_while_the_last_one_has_not_finished(recurring_site: RecurringSite) -> None:
    await recurring_site.store.add_or_update(changed(overlap=False))
    async with recurring_site.ticker() as ticker:
        await recurring_site.set(JUST_NOW)
        await ticker.tick()
        (job_id,) = await recurring_site.jobs()
        for state in ("enqueued", "retrying", "scheduled", "processing"):
            await recurring_site.connection.execute("UPDATE bulkport.jobs SET state = %s::bulkport.job_state", (state,))
            await recurring_site.set(JUST_NOW)
            await ticker.tick()
            assert await recurring_site.jobs() == [job_id]
            found = await recurring_site.found()
            assert found.last_note == f"no job was created: job {job_id} has not ended"
            assert found.last_job_id == str(job_id)
        for ended in ("succeeded", "failed", "cancelled"):
            await recurring_site.connection.execute(
                "SELECT bulkport.move_finished(array_agg(job_id), %s::bulkport.job_state, now()) FROM bulkport.jobs",
                (ended,),
            )
            await recurring_site.set(JUST_NOW)
            await ticker.tick()
        assert len(await recurring_site.jobs()) == 4


async def test_declared_recurring_jobs_are_left_to_servers_that_declare_them(recurring_site: RecurringSite) -> None:
    recurring_site.store.declare(HOURLY)
    await recurring_site.store.write_declared()
    await recurring_site.set(JUST_NOW)
    async with recurring_site.ticker(changed(id="other")) as old, recurring_site.ticker(HOURLY) as new:
        await old.tick()
        assert await recurring_site.jobs() == []
        assert (await recurring_site.found("other")).in_code
        await new.tick()
        assert len(await recurring_site.jobs()) == 1


async def test_a_failing_recurring_job_does_not_delay_the_others(recurring_site: RecurringSite) -> None:
    for recurring_id in ("bad zone", "bad queue", "good"):
        await recurring_site.store.add_or_update(changed(id=recurring_id))
    await recurring_site.connection.execute(f"UPDATE bulkport.recurring_jobs SET {LONG_AGO}")  # type: ignore[call-overload]
    await recurring_site.set("timezone = 'Mars/Base'", "bad zone")
    await recurring_site.connection.execute("ALTER TABLE bulkport.jobs ADD CHECK (length(queue) < 100)")
    await recurring_site.set("queue = repeat('q', 300)", "bad queue")
    async with recurring_site.ticker() as ticker:
        await ticker.tick()
        await ticker.tick()
    assert len(await recurring_site.jobs("good")) == 1
    for recurring_id, reason in (("bad zone", "no time zone 'Mars/Base'"), ("bad queue", "violates check constraint")):
        cursor = await recurring_site.connection.execute(
            "SELECT last_note, next_at - clock_timestamp() FROM bulkport.recurring_jobs WHERE recurring_id = %s",
            (recurring_id,),
        )
        ((note, wait),) = await cursor.fetchall()
        assert reason in note
        assert timedelta(0) < wait <= timedelta(seconds=60)


async def test_a_tick_set_too_far_ahead_by_a_fast_clock_is_corrected(recurring_site: RecurringSite) -> None:
    await recurring_site.store.add_or_update(HOURLY)
    right = (await recurring_site.found()).next_at
    await recurring_site.set("next_at = next_at + interval '3 days'")
    async with recurring_site.ticker() as ticker:
        await ticker.tick()
    found = await recurring_site.found()
    assert right is not None
    assert found.next_at is not None
    # The hour may have changed meanwhile.
    assert timedelta(0) <= found.next_at - right <= timedelta(hours=1)
    assert found.last_note is not None
    assert "a clock that was fast" in found.last_note
    assert await recurring_site.jobs() == []


async def test_a_locked_recurring_job_is_written_later_and_delays_no_other(
    recurring_site: RecurringSite,
) -> None:
    held, free = changed(id="a held one"), changed(id="b free one")
    await recurring_site.store.add_or_update(held)
    async with (
        recurring_site.ticker(changed(id=held.id, queue="other"), free) as ticker,
        await psycopg.AsyncConnection.connect(recurring_site.url) as stranger,
    ):
        await recurring_site.other_store().pause(held.id, connection=stranger)
        async with asyncio.timeout(60):
            await ticker.tick()
        assert (await recurring_site.found(free.id)).in_code
        assert (await recurring_site.found(held.id)).definition.queue == held.queue
        await stranger.rollback()
        await ticker.tick()
        assert (await recurring_site.found(held.id)).definition.queue == "other"
