"""Cancelling: waiting jobs end at once, running ones are asked to stop and reported if they do not."""

from collections.abc import Iterator

import pytest
from conformance_site import ConformanceSite, Home, ServerProcess, eventually

from bulkport.identifiers import BackgroundJobId
from bulkport.jobs import Effect, JobState
from bulkport.jobs.port.details import RunOutcome


@pytest.fixture(scope="module", autouse=True)
def server(home: Home) -> Iterator[ServerProcess]:
    with home.server("only") as process:
        yield process


async def waiting_jobs(site: ConformanceSite) -> dict[JobState, BackgroundJobId]:
    """A job of each state in which it waits."""
    await site.jobs.pause_queue("held")
    held = await site.jobs.enqueue(site.tasks.add.options(queue="held").call(1))
    retrying = await site.jobs.enqueue(site.tasks.fall)
    await site.reaches(retrying, JobState.RETRYING)
    return {
        JobState.RETRYING: retrying,
        JobState.ENQUEUED: held,
        JobState.SCHEDULED: await site.jobs.schedule(site.tasks.add, 1, in_=3_600),
        JobState.AWAITING: await site.jobs.continue_with(held, site.tasks.add.call(1)),
    }


async def test_a_waiting_job_is_cancelled_at_once_whatever_it_waits_for(site: ConformanceSite) -> None:
    jobs = await waiting_jobs(site)
    for state, job_id in reversed(jobs.items()):
        result = await site.jobs.cancel(job_id, reason="not needed", actor="ada")
        assert result.effect is Effect.CANCELLED, state
        assert (await site.job(job_id)).state is JobState.CANCELLED
        change = [entry.change for entry in (await site.details(job_id)).timeline if entry.change is not None][-1]
        assert (change.state, change.reason, change.actor) == (JobState.CANCELLED, "not needed", "ada")
        assert (await site.jobs.cancel(job_id)).effect is Effect.ALREADY_ENDED
    await site.jobs.resume_queue("held")
    await site.succeeds(await site.jobs.enqueue(site.tasks.add.options(queue="held").call(1)))
    assert site.diary.events(*jobs.values()) == ["tried"]


async def test_a_running_async_task_is_cancelled_at_its_next_await(site: ConformanceSite) -> None:
    job_id = await site.jobs.enqueue(site.tasks.stay, "never")
    await site.happens("begun", job_id)
    assert (await site.jobs.cancel(job_id, actor="ada")).effect is Effect.ASKED_TO_STOP
    job = await site.ended(job_id)
    assert (job.state, site.diary.events(job_id)) == (JobState.CANCELLED, ["begun", "cancelled"])
    assert [run.outcome for run in (await site.details(job_id)).runs] == [RunOutcome.CANCELLED]


async def test_a_running_sync_task_sees_its_cancellation_when_it_checks(site: ConformanceSite) -> None:
    job_id = await site.jobs.enqueue(site.tasks.stay_in_thread, "never")
    await site.happens("begun", job_id)
    assert (await site.jobs.cancel(job_id)).effect is Effect.ASKED_TO_STOP
    job = await site.ended(job_id)
    assert (job.state, site.diary.events(job_id)) == (JobState.CANCELLED, ["begun", "JobCancelled"])


async def test_a_task_that_ignores_its_cancellation_is_reported_after_a_deadline(
    site: ConformanceSite, server: ServerProcess
) -> None:
    job_id = await site.jobs.enqueue(site.tasks.stay_deaf, "deaf")
    await site.happens("begun", job_id)
    assert (await site.jobs.cancel(job_id)).effect is Effect.ASKED_TO_STOP
    assert (await site.jobs.cancel(job_id)).effect is Effect.ALREADY_ASKED_TO_STOP
    await site.happens("did not listen", job_id)

    async def is_reported() -> bool:
        return any(server.said(level, job_id) for level in ("warning", "error"))

    await eventually(is_reported, "a report")
    assert (await site.job(job_id)).state is JobState.PROCESSING
    # The server works on meanwhile, and what the task did counts once it has ended.
    await site.succeeds(await site.jobs.enqueue(site.tasks.add, 1))
    site.diary.open_gate("deaf")
    assert (await site.ended(job_id)).state in {JobState.SUCCEEDED, JobState.CANCELLED}


async def test_cancelling_a_job_while_it_is_claimed_leaves_it_in_a_definite_state(site: ConformanceSite) -> None:
    """Each of these is cancelled before it starts, or while it runs, or has ended; none is lost, none runs after."""
    ids = [job.id for job in await site.jobs.enqueue_many([site.tasks.work.call(0.01) for _ in range(40)])]
    effects = {job_id: (await site.jobs.cancel(job_id)).effect for job_id in reversed(ids)}
    for job in await site.all_ended(ids):
        begun = site.diary.notes(job.id, event="begun")
        effect = effects[job.id]
        if effect is Effect.CANCELLED:
            assert (job.state, begun) == (JobState.CANCELLED, [])
        elif effect is Effect.ALREADY_ENDED:
            assert (job.state, len(begun)) == (JobState.SUCCEEDED, 1)
        else:
            assert effect is Effect.ASKED_TO_STOP
            assert len(begun) <= 1


async def test_a_cancellation_takes_effect_in_the_callers_transaction(site: ConformanceSite) -> None:
    job_id = await site.jobs.schedule(site.tasks.add, 1, in_=3_600)
    async with site.connection.transaction(force_rollback=True):
        assert (await site.jobs.cancel(job_id, connection=site.connection)).effect is Effect.CANCELLED
    assert (await site.job(job_id)).state is JobState.SCHEDULED
    assert (await site.jobs.cancel(job_id, connection=site.connection)).effect is Effect.CANCELLED
    assert (await site.jobs.cancel(job_id, connection=site.connection)).effect is Effect.ALREADY_ENDED
    assert (await site.jobs.cancel(BackgroundJobId("999999999"))).effect is Effect.UNKNOWN
    assert (await site.job(job_id)).state is JobState.CANCELLED
