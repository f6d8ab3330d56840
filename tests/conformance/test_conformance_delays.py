"""Delayed jobs: not before their time, soon after it; rescheduled and run at once on demand."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from conformance_site import ConformanceSite, Home

from bulkport.jobs import Effect, JobState


@pytest.fixture(scope="module", autouse=True)
def _server(home: Home) -> Iterator[None]:
    with home.server("only"):
        yield


async def test_a_job_starts_at_its_scheduled_time_and_not_before(site: ConformanceSite) -> None:
    before = time.monotonic()
    ids = [
        await site.jobs.schedule(site.tasks.add, 1, in_=0.5),
        await site.jobs.schedule(site.tasks.add.call(1), in_=timedelta(seconds=0.5)),
        await site.jobs.schedule(site.tasks.add.call(1), at=datetime.now(UTC) + timedelta(seconds=0.5)),
    ]
    job = await site.job(ids[0])
    assert job.state is JobState.SCHEDULED
    assert job.scheduled_at is not None
    for job_id in ids:
        await site.succeeds(job_id)
        (note,) = site.diary.notes(job_id)
        assert note.at - before >= 0.5


async def test_a_job_scheduled_in_the_past_runs_at_once(site: ConformanceSite) -> None:
    await site.succeeds(await site.jobs.schedule(site.tasks.add, 1, at=datetime.now(UTC) - timedelta(days=1)))
    await site.succeeds(await site.jobs.schedule(site.tasks.add, 1, in_=0))


async def test_a_scheduled_job_can_be_rescheduled_and_run_now(site: ConformanceSite) -> None:
    job_id = await site.jobs.schedule(site.tasks.add, 1, in_=3_600)
    sooner = datetime.now(UTC) + timedelta(minutes=1)
    assert (await site.jobs.reschedule(job_id, at=sooner)).effect is Effect.RESCHEDULED
    assert (await site.job(job_id)).scheduled_at == sooner
    assert (await site.jobs.reschedule(job_id, in_=0.1)).effect is Effect.RESCHEDULED
    await site.succeeds(job_id)

    job_id = await site.jobs.schedule(site.tasks.add, 1, in_=3_600)
    assert (await site.jobs.run_now(job_id)).effect is Effect.RELEASED
    await site.succeeds(job_id)
    assert site.diary.events(job_id) == ["ran"]
    assert (await site.jobs.run_now(job_id)).effect is Effect.ALREADY_ENDED


async def test_a_waiting_job_can_be_postponed(site: ConformanceSite) -> None:
    await site.jobs.pause_queue("put off")
    job_id = await site.jobs.enqueue(site.tasks.add.options(queue="put off").call(1))
    assert (await site.jobs.reschedule(job_id, in_=3_600)).effect is Effect.RESCHEDULED
    await site.jobs.resume_queue("put off")
    await site.succeeds(await site.jobs.enqueue(site.tasks.add.options(queue="put off").call(1)))
    assert (await site.job(job_id)).state is JobState.SCHEDULED


async def test_times_without_a_zone_or_two_times_are_rejected(site: ConformanceSite) -> None:
    with pytest.raises(ValueError, match="zone"):
        await site.jobs.schedule(site.tasks.add, 1, at=datetime(2040, 1, 1))  # noqa: DTZ001 - that is the point
    with pytest.raises(ValueError, match="either"):
        await site.jobs.schedule(site.tasks.add, 1)
    with pytest.raises(ValueError, match="either"):
        await site.jobs.schedule(site.tasks.add, 1, in_=1, at=datetime.now(UTC))
