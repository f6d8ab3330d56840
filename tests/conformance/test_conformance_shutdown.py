"""Shutdown: SIGTERM stops claiming, gives running jobs time and hands back the rest; nothing is lost or doubled."""

import asyncio
import signal

from conformance_site import HASTY, ConformanceSite, eventually

from bulkport.jobs import JobState
from bulkport.jobs.port.details import RunOutcome


async def test_graceful_shutdowns_under_load_lose_and_duplicate_nothing(site: ConformanceSite) -> None:
    await site.jobs.pause_queue("load")
    calls = [site.tasks.work.options(queue="load").call(0.02) for _ in range(240)]
    ids = [job.id for job in await site.jobs.enqueue_many(calls)]
    with (
        site.server("first", concurrency=4) as first,
        site.server("second", concurrency=4) as second,
        site.server("third", concurrency=4),
    ):
        await site.serving("first", "second", "third")
        await site.jobs.resume_queue("load")
        await site.happens("ended", *ids, times=10)
        first.send(signal.SIGTERM)
        assert await first.ends() == 0
        await site.happens("ended", *ids, times=60)
        second.send(signal.SIGTERM)
        assert await second.ends() == 0
        assert {server.name for server in await site.jobs.servers()} <= {"third"}
        for job in await site.all_ended(ids):
            assert job.state is JobState.SUCCEEDED
    for job_id in ids:
        assert site.diary.events(job_id) == ["begun", "ended"]
    assert {note.server for note in site.diary.notes(*ids)} >= {"third"}


async def test_a_shutdown_gives_running_jobs_time_and_claims_nothing_new(site: ConformanceSite) -> None:
    with site.server("graceful") as server:
        running = await site.jobs.enqueue(site.tasks.stay, "grace")
        await site.happens("begun", running)
        server.send(signal.SIGTERM)

        # The signal may be heard a moment later; from a job that was left waiting on, all are.
        left = []

        async def is_stopping() -> bool:
            left.append(await site.jobs.enqueue(site.tasks.work))
            await asyncio.sleep(1)
            return (await site.job(left[-1])).state is JobState.ENQUEUED

        await eventually(is_stopping, "an end of claiming")
        left.append(await site.jobs.enqueue(site.tasks.work))
        site.diary.open_gate("grace")
        assert await server.ends() == 0
    assert (await site.job(running)).state is JobState.SUCCEEDED
    assert site.diary.events(running) == ["begun", "ended"]
    for job_id in left[-2:]:
        assert (await site.job(job_id)).state is JobState.ENQUEUED
        assert site.diary.events(job_id) == []


async def test_a_job_that_outlasts_the_grace_period_is_returned_without_counting_as_a_failure(
    site: ConformanceSite,
) -> None:
    with site.server("hasty", shutdown_seconds=0.3) as server:
        ids = [
            await site.jobs.enqueue(site.tasks.stay, "handed"),
            await site.jobs.enqueue(site.tasks.stay_in_thread, "handed"),
        ]
        for job_id in ids:
            await site.happens("begun", job_id)
        server.send(signal.SIGTERM)
        assert await server.ends() == 0
    for job_id in ids:
        assert (await site.job(job_id)).state is JobState.ENQUEUED
    assert site.diary.events(ids[0]) == ["begun", "stopped"]
    assert site.diary.events(ids[1]) == ["begun", "StopRequested"]
    with site.server("heir"):
        for job_id in ids:
            await site.happens("begun", job_id, times=2)
        site.diary.open_gate("handed")
        for job_id in ids:
            assert (await site.succeeds(job_id)).attempts == 1
            outcomes = [run.outcome for run in (await site.details(job_id)).runs]
            assert outcomes == [RunOutcome.HANDED_BACK, RunOutcome.SUCCEEDED]


async def test_a_long_task_resumes_elsewhere_from_its_checkpoint(site: ConformanceSite) -> None:
    with site.server("before") as server:
        job_id = await site.jobs.enqueue(site.tasks.report, 8, "middle")
        await site.happens("step 3", job_id)
        server.send(signal.SIGTERM)
        assert await server.ends() == 0
    with site.server("after"):
        site.diary.open_gate("middle")
        assert (await site.succeeds(job_id)).result == 4
    steps = [event for event in site.diary.events(job_id) if event.startswith("step")]
    assert steps == [f"step {step}" for step in range(8)]


async def test_a_draining_server_keeps_its_jobs_however_long_they_take(site: ConformanceSite) -> None:
    """Its heartbeat continues until its last job has ended, so others do not declare it dead."""
    with site.server("draining", shutdown_seconds=60, **HASTY) as draining:
        job_id = await site.jobs.enqueue(site.tasks.stay, "draining")
        await site.happens("begun", job_id)
        with site.server("watching", **HASTY):
            await site.serving("watching")
            draining.send(signal.SIGTERM)
            later = await site.jobs.schedule(site.tasks.work, in_=3 * HASTY["stalled_seconds"])
            await site.succeeds(later)
            assert {note.server for note in site.diary.notes(later)} == {"watching"}
            assert (await site.job(job_id)).state is JobState.PROCESSING
            site.diary.open_gate("draining")
            assert await draining.ends() == 0
            assert (await site.job(job_id)).state is JobState.SUCCEEDED
    assert site.diary.events(job_id) == ["begun", "ended"]
    assert {note.server for note in site.diary.notes(job_id)} == {"draining"}
