"""Recurring jobs in the database: set up, changed, paused, triggered and shown, from any process."""

from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from recurring_site import HOURLY, RecurringSite, changed

from bulkport.jobs.errors import InvalidSchedule, RecurringJobAlreadyDeclared, UnknownRecurringJob
from bulkport.jobs.port.recurring import MissedRuns


async def test_a_recurring_job_is_visible_in_another_process(recurring_site: RecurringSite) -> None:
    added = await recurring_site.store.add_or_update(HOURLY)
    found = await recurring_site.other_store().get("hourly")
    assert found == added
    assert found.definition == HOURLY
    assert found.next_at is not None
    now = await recurring_site.value("SELECT clock_timestamp()")
    assert timedelta(0) < found.next_at - now <= timedelta(hours=1)
    assert (found.in_code, found.paused_at, found.is_overdue, found.last_job_id) == (False, None, False, None)
    assert found.in_words == "At the start of every hour (UTC)"


async def test_the_next_tick_changes_only_with_schedule_or_zone(recurring_site: RecurringSite) -> None:
    store = recurring_site.store
    await store.add_or_update(HOURLY)
    await recurring_site.set("next_at = '2020-01-01'")
    long_ago = await recurring_site.value("SELECT next_at FROM bulkport.recurring_jobs")
    version = await recurring_site.value("SELECT updated_at FROM bulkport.recurring_jobs")
    for same in (HOURLY, changed(args={"text": "other"}), changed(queue="mail", priority=4, overlap=False)):
        assert (await store.add_or_update(same)).next_at == long_ago
    assert (await store.add_or_update(changed(missed=MissedRuns.ALL))).updated_at > version
    for different in (changed(cron="30 * * * *"), changed(cron="30 * * * *", timezone="Asia/Kathmandu")):
        await recurring_site.set("next_at = '2020-01-01'")
        found = await store.add_or_update(different)
        assert found.definition == different
        assert found.next_at > await recurring_site.value("SELECT clock_timestamp()")


async def test_an_unchanged_declaration_writes_nothing(recurring_site: RecurringSite) -> None:
    first = await recurring_site.store.add_or_update(HOURLY)
    row = await recurring_site.value("SELECT xmin::text FROM bulkport.recurring_jobs")
    assert await recurring_site.store.add_or_update(HOURLY) == first
    assert await recurring_site.value("SELECT xmin::text FROM bulkport.recurring_jobs") == row


async def test_a_bad_schedule_is_rejected_with_the_reason_and_changes_nothing(recurring_site: RecurringSite) -> None:
    await recurring_site.store.add_or_update(HOURLY)
    with pytest.raises(InvalidSchedule, match="bad hour"):
        await recurring_site.store.add_or_update(changed(cron="0 25 * * *"))
    with pytest.raises(InvalidSchedule, match="no time zone 'Mars/Base'"):
        await recurring_site.store.add_or_update(changed(timezone="Mars/Base"))
    found = await recurring_site.store.get("hourly")
    assert found is not None
    assert found.definition == HOURLY


async def test_changes_take_effect_in_the_callers_transaction(recurring_site: RecurringSite) -> None:
    store = recurring_site.store
    async with await psycopg.AsyncConnection.connect(recurring_site.url) as connection:
        await store.add_or_update(HOURLY, connection)
        job_id = await store.trigger("hourly", connection)
        assert (await recurring_site.store.get("hourly")) is None
        await connection.rollback()
    assert await store.get("hourly") is None
    assert not await recurring_site.value("SELECT count(*) FROM bulkport.all_jobs WHERE job_id = %s", int(job_id))
    with psycopg.connect(recurring_site.url) as sync_connection:
        await store.add_or_update(HOURLY, sync_connection)
        await store.pause("hourly", sync_connection)
    found = await store.get("hourly")
    assert found is not None
    assert found.paused_at is not None


async def test_a_resumed_recurring_job_continues_from_now(recurring_site: RecurringSite) -> None:
    store = recurring_site.store
    await store.add_or_update(HOURLY)
    paused = await store.pause("hourly")
    assert paused.paused_at is not None
    assert (await store.pause("hourly")).paused_at == paused.paused_at
    await recurring_site.set("next_at = clock_timestamp() - interval '3 days'")
    await store.add_or_update(changed(args={}))
    assert (await store.get("hourly")).paused_at == paused.paused_at  # type: ignore[union-attr]
    resumed = await store.resume("hourly")
    assert resumed.paused_at is None
    assert resumed.next_at is not None
    assert resumed.next_at > await recurring_site.value("SELECT clock_timestamp()")
    # Once more changes nothing, even if a tick is due.
    await recurring_site.set("next_at = clock_timestamp() - interval '3 days'")
    assert (await store.resume("hourly")).next_at < resumed.next_at  # type: ignore[operator]


async def test_triggering_makes_a_job_now_and_keeps_the_next_tick(recurring_site: RecurringSite) -> None:
    store = recurring_site.store
    added = await store.add_or_update(changed(queue="mail", priority=2, overlap=False))
    await store.pause("hourly")
    job_id = await store.trigger("hourly")
    found = await store.get("hourly")
    assert found is not None
    assert (found.next_at, found.last_job_id, found.last_at) == (added.next_at, job_id, None)
    cursor = await recurring_site.connection.execute(
        "SELECT task, queue, priority, args, recurring_id FROM bulkport.all_jobs WHERE job_id = %s", (int(job_id),)
    )
    assert await cursor.fetchone() == ("note", "mail", 2, {"text": "tick"}, "hourly")


async def test_an_unknown_recurring_job_is_reported(recurring_site: RecurringSite) -> None:
    store = recurring_site.store
    for action in (store.pause, store.resume, store.trigger):
        with pytest.raises(UnknownRecurringJob, match="'nobody'"):
            await action("nobody")
    assert await store.get("nobody") is None
    assert not await store.remove("nobody")


async def test_removing_a_recurring_job_keeps_its_jobs(recurring_site: RecurringSite) -> None:
    await recurring_site.store.add_or_update(HOURLY)
    job_id = await recurring_site.store.trigger("hourly")
    assert await recurring_site.store.remove("hourly")
    assert await recurring_site.store.get("hourly") is None
    assert await recurring_site.jobs() == [int(job_id)]


async def test_recurring_jobs_are_listed_in_pages_and_found_by_text(recurring_site: RecurringSite) -> None:
    for number in range(5):
        await recurring_site.store.add_or_update(changed(id=f"job-{number}", task=f"Task%{number}"))

    async def ids(*arguments: Any, **options: Any) -> list[str]:
        return [found.id for found in await recurring_site.store.search(*arguments, **options)]

    assert await ids(limit=3) == ["job-0", "job-1", "job-2"]
    assert await ids(limit=3, after="job-2") == ["job-3", "job-4"]
    assert await ids("task%3") == ["job-3"]
    assert await ids("JOB-4") == ["job-4"]
    assert await ids("_") == []


async def test_a_redeclared_recurring_job_returns_and_stays_paused(recurring_site: RecurringSite) -> None:
    store = recurring_site.store
    store.declare(HOURLY)
    with pytest.raises(RecurringJobAlreadyDeclared):
        store.declare(HOURLY)
    await store.write_declared()
    found = await store.get("hourly")
    assert found is not None
    assert found.in_code
    await store.pause("hourly")
    later = recurring_site.other_store()
    later.declare(changed(cron="15 * * * *"))
    await later.write_declared()
    found = await store.get("hourly")
    assert found is not None
    assert (found.definition.cron, found.paused_at is not None) == ("15 * * * *", True)
    await store.remove("hourly")
    await later.write_declared()
    assert await store.get("hourly") is not None


async def test_a_recurring_job_no_longer_declared_is_removed_after_a_while(recurring_site: RecurringSite) -> None:
    """Not at once: another application, or servers of another version, may declare it."""
    store = recurring_site.store
    for number in range(4):
        store.declare(changed(id=f"job-{number}"))
    await store.write_declared()
    await store.add_or_update(changed(id="job-5"))
    await store.pause("job-3")
    for recurring_id in ("job-1", "job-2", "job-3", "job-5"):
        await recurring_site.set("next_at = clock_timestamp() - interval '8 days'", recurring_id)
    later = recurring_site.other_store()
    later.declare(changed(id="job-2"))
    await later.write_declared()
    assert [found.id for found in await later.search()] == ["job-0", "job-2", "job-3", "job-5"]


async def test_a_recurring_job_shows_the_outcomes_of_its_jobs(recurring_site: RecurringSite) -> None:
    await recurring_site.store.add_or_update(HOURLY)
    for _ in range(25):
        await recurring_site.store.trigger("hourly")
    jobs = await recurring_site.jobs()
    await recurring_site.connection.execute(
        "SELECT bulkport.move_finished(array_agg(job_id), 'succeeded', now()) FROM bulkport.jobs"
    )
    await recurring_site.connection.execute(
        "UPDATE bulkport.finished_jobs SET started_at = created_at,"
        " finished_at = created_at + make_interval(secs => CASE WHEN job_id = ANY(%s) THEN 100 ELSE 3 END)",
        (jobs[:5],),
    )
    found = await recurring_site.store.get("hourly")
    assert found is not None
    assert found.average_seconds == pytest.approx(3)
    assert found.last_job_id == str(jobs[-1])
    assert found.last_job_state == "succeeded"
    await recurring_site.store.trigger("hourly")
    await recurring_site.connection.execute("UPDATE bulkport.jobs SET state = 'processing'")
    found = await recurring_site.store.get("hourly")
    assert found is not None
    assert found.last_job_state == "processing"


async def test_a_recurring_job_in_an_unknown_zone_is_still_shown(recurring_site: RecurringSite) -> None:
    await recurring_site.store.add_or_update(HOURLY)
    await recurring_site.set("timezone = 'Mars/Base', next_at = clock_timestamp() - interval '61 seconds'")
    (found,) = await recurring_site.store.search()
    assert found.is_overdue
    assert isinstance(found.next_at, datetime)
    assert "no time zone 'Mars/Base'" in found.in_words
