"""Control: requeue, delete, run now and change, one by one and in bulk by filter; idempotent and safe in a race."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from conformance_site import ConformanceSite, Home

from bulkport.identifiers import BackgroundJobId
from bulkport.jobs import Effect, JobQuery, JobState
from bulkport.jobs.port.control import Change


@pytest.fixture(scope="module", autouse=True)
def _server(home: Home) -> Iterator[None]:
    with home.server("only"):
        yield


async def failed_jobs(site: ConformanceSite, user: str, count: int) -> list[BackgroundJobId]:
    calls = [site.tasks.refuse.options(user_id=user).call("FinalError") for _ in range(count)]
    ids = [job.id for job in await site.jobs.enqueue_many(calls)]
    await site.all_ended(ids)
    return ids


async def test_a_failed_job_is_requeued_under_its_id_with_its_attempts_reset(site: ConformanceSite) -> None:
    job_id = await site.jobs.enqueue(site.tasks.stumble, 99)
    await site.ended(job_id)
    assert (await site.jobs.requeue(job_id, reason="again", actor="ada")).effect is Effect.REQUEUED
    job = await site.ended(job_id)
    assert (job.state, job.attempts) == (JobState.FAILED, 3)
    assert site.diary.events(job_id).count("tried") == 6
    details = await site.details(job_id)
    assert len(details.runs) == 6
    changes = [entry.change for entry in details.timeline if entry.change is not None]
    assert ("again", "ada") in [(change.reason, change.actor) for change in changes]


async def test_a_succeeded_job_is_copied_and_stays(site: ConformanceSite) -> None:
    job_id = await site.jobs.enqueue(site.tasks.add, 4)
    await site.succeeds(job_id)
    result = await site.jobs.requeue(job_id)
    assert result.effect is Effect.REPEATED
    assert result.new_job_id is not None
    assert (await site.succeeds(result.new_job_id)).result == 5
    assert (await site.details(job_id)).copies == (result.new_job_id,)
    assert (await site.details(result.new_job_id)).job.origin_id == job_id


async def test_control_commands_are_idempotent_and_report_their_outcome(site: ConformanceSite) -> None:
    (failed,) = await failed_jobs(site, "repeats", 1)
    assert (await site.jobs.delete(failed)).effect is Effect.DELETED
    assert (await site.jobs.delete(failed)).effect is Effect.ALREADY_DELETED
    assert (await site.job(failed)).state is JobState.CANCELLED

    running = await site.jobs.enqueue(site.tasks.stay, "orders")
    await site.happens("begun", running)
    assert (await site.jobs.requeue(running)).effect is Effect.ALREADY_RUNNING
    assert (await site.jobs.run_now(running)).effect is Effect.ALREADY_RUNNING
    assert (await site.jobs.reschedule(running, in_=60)).effect is Effect.ALREADY_RUNNING
    waiting = await site.jobs.continue_with(running, site.tasks.add.call(1))
    assert (await site.jobs.run_now(waiting)).effect is Effect.WAITS_FOR_OTHERS
    assert (await site.jobs.requeue(waiting)).effect in {Effect.ALREADY_WAITING, Effect.WAITS_FOR_OTHERS}
    site.diary.open_gate("orders")
    await site.succeeds(waiting)

    unknown = BackgroundJobId("999999999")
    for order in (site.jobs.cancel, site.jobs.delete, site.jobs.requeue, site.jobs.run_now):
        assert (await order(unknown)).effect is Effect.UNKNOWN


async def test_the_priority_and_queue_of_a_waiting_job_can_be_changed(site: ConformanceSite) -> None:
    job_id = await site.jobs.schedule(site.tasks.add, 1, in_=3_600)
    assert (await site.jobs.change(job_id, priority=7, queue="other")).effect is Effect.CHANGED
    await site.jobs.run_now(job_id)
    job = await site.succeeds(job_id)
    assert (job.priority, job.queue) == (7, "other")
    with pytest.raises(ValueError, match="priority or a queue"):
        await site.jobs.change(job_id)


async def test_all_failed_jobs_of_a_task_since_a_time_can_be_requeued(site: ConformanceSite) -> None:
    before = await failed_jobs(site, "bulk", 3)
    monday = datetime.now(UTC)
    since = await failed_jobs(site, "bulk", 7)
    query = JobQuery(states={JobState.FAILED}, task="refuse", user_id="bulk", finished_since=monday)
    summary = await site.jobs.requeue_all(query, reason="the mail server is back", actor="ada")
    assert (str(summary), summary.done) == ("7 requeued", 7)
    await site.happens("tried", *since, times=14)
    await site.all_ended(since)
    assert site.diary.events(*before).count("tried") == 3
    assert (await site.jobs.requeue_all(JobQuery(user_id="nobody"))).effects == {}


async def test_jobs_can_be_cancelled_deleted_and_run_in_bulk(site: ConformanceSite) -> None:
    calls = [site.tasks.add.options(user_id="bulk-2").call(number) for number in range(6)]
    ids = [await site.jobs.schedule(call, in_=3_600) for call in calls]
    query = JobQuery(user_id="bulk-2")
    await site.jobs.cancel(ids[0])
    summary = await site.jobs.run_all_now(JobQuery(user_id="bulk-2", text='"a": 1'))
    assert summary.effects == {Effect.RELEASED: 1}
    await site.succeeds(ids[1])
    assert str(await site.jobs.cancel_all(query)) == "4 cancelled, 2 already ended"
    assert (await site.jobs.delete_all(JobQuery(user_id="bulk-2", states={JobState.SUCCEEDED}))).done == 1
    assert (await site.jobs.count(JobQuery(user_id="bulk-2", states={JobState.CANCELLED}))).jobs == 6


async def test_control_commands_race_with_runs_and_each_other_and_lose_no_job(site: ConformanceSite) -> None:
    """Everything is ordered at once of jobs that run meanwhile: each ends once, and none runs after its end."""
    calls = [site.tasks.work.options(user_id="race").call(0.005) for _ in range(60)]
    ids = [job.id for job in await site.jobs.enqueue_many(calls)]
    query = JobQuery(user_id="race")
    for _ in range(2):
        await asyncio.gather(
            site.jobs.requeue_all(JobQuery(user_id="race", states={JobState.FAILED, JobState.CANCELLED})),
            site.jobs.cancel_all(query),
            site.jobs.run_all_now(query),
            site.jobs.order_all(Change(priority=3), query),
        )
    for job in await site.all_ended(ids):
        assert job.state in {JobState.SUCCEEDED, JobState.CANCELLED}
        if job.state is JobState.SUCCEEDED:
            assert site.diary.events(job.id)[-2:] == ["begun", "ended"]
            assert site.diary.events(job.id).count("ended") == 1
    assert site.diary.most_at_once(*ids) <= 20


async def test_a_control_command_takes_effect_in_the_callers_transaction(site: ConformanceSite) -> None:
    job_id = await site.jobs.schedule(site.tasks.add, 1, in_=timedelta(hours=1))
    async with site.connection.transaction(force_rollback=True):
        assert (await site.jobs.run_now(job_id, connection=site.connection)).effect is Effect.RELEASED
    assert (await site.job(job_id)).state is JobState.SCHEDULED
    async with site.connection.transaction():
        await site.jobs.cancel(job_id, connection=site.connection)
    assert (await site.job(job_id)).state is JobState.CANCELLED
