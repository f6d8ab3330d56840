"""How a job ends: success, retries, the failure hook, another run by its own wish, cancellation."""

import asyncio
from itertools import pairwise

import pytest
from engine_site import EngineSite

from bulkport.jobs import JobState
from bulkport.jobs.port import NewJob


async def test_a_failed_attempt_is_retried_after_its_delay(site: EngineSite) -> None:
    job_id = await site.enqueue("fail", times=2)
    async with site.worker(poll_seconds=60) as tasks:
        job = await site.reaches(job_id, JobState.SUCCEEDED)
        assert tasks.hook_errors_left == 0
    assert job.attempts == 3
    assert job.last_error == "ValueError: failure 2\ufffd"
    assert await site.events(job_id) == ["tried", "tried", "tried"]
    cursor = await site.connection.execute("SELECT attempt, extract(epoch FROM at)::float FROM runs ORDER BY id")
    rows = await cursor.fetchall()
    assert [attempt for attempt, _ in rows] == [1, 2, 3]
    waits = [later - earlier for (_, earlier), (_, later) in pairwise(rows)]
    assert waits[0] >= 0.045
    assert waits[1] >= 0.095


async def test_between_attempts_a_job_is_retrying(site: EngineSite) -> None:
    job_id = await site.enqueue("fail", times=1)
    async with site.worker():
        await site.happens("tried", job_id)

        async with asyncio.timeout(60):
            while (await site.job(job_id)).last_error is None:
                await asyncio.sleep(0)
        await site.reaches(job_id, JobState.SUCCEEDED)
    query = "SELECT array_agg(outcome || ' ' || (retry_at > ended_at)) FROM bulkport.job_runs WHERE job_id = %s"
    assert await site.value(query, int(job_id)) == ["failed true"]


async def test_after_the_last_attempt_the_hook_runs_and_the_job_fails(site: EngineSite) -> None:
    job_id = await site.enqueue("fail", times=9)
    async with site.worker():
        job = await site.reaches(job_id, JobState.FAILED)
    assert job.attempts == 3
    assert job.last_error == "ValueError: failure 3\ufffd"
    assert await site.events(job_id) == ["tried", "tried", "tried", "settled ValueError last=True"]


async def test_a_hook_that_raises_is_retried(site: EngineSite) -> None:
    job_id = await site.enqueue("fail", times=9)
    async with site.worker() as tasks:
        tasks.hook_errors_left = 2
        await site.reaches(job_id, JobState.FAILED)
        assert tasks.hook_errors_left == 0
    assert (await site.events(job_id))[-1] == "settled ValueError last=True"


async def test_mismatched_arguments_fail_the_job_at_once(site: EngineSite) -> None:
    job_id = await site.enqueue("fail", nonsense=1)
    async with site.worker():
        job = await site.reaches(job_id, JobState.FAILED)
    assert job.attempts == 1
    assert job.last_error is not None
    assert job.last_error.startswith("ArgumentsDoNotFit: ")
    assert await site.events(job_id) == ["settled ArgumentsDoNotFit last=False"]


async def test_unknown_argument_names_fail_the_job_at_once(site: EngineSite) -> None:
    job_id = await site.add(NewJob("note", {"self": 1}))
    async with site.worker():
        job = await site.reaches(job_id, JobState.FAILED)
    assert job.last_error is not None
    assert job.last_error.startswith("ArgumentsDoNotFit: the arguments do not fit note")


async def test_a_job_of_an_unknown_task_waits(site: EngineSite) -> None:
    job_id = await site.enqueue("nobody knows")
    async with site.worker():
        await site.reaches(await site.enqueue("note"), JobState.SUCCEEDED)
    job = await site.job(job_id)
    assert (job.state, job.attempts, job.last_error) == (JobState.ENQUEUED, 0, None)


@pytest.mark.parametrize(
    ("task", "error"), [("unspeakable", "UnspeakableError: (its message cannot be shown)"), ("exit", "SystemExit: 3")]
)
async def test_no_task_error_stops_the_worker(site: EngineSite, task: str, error: str) -> None:
    job_id = await site.enqueue(task)
    async with site.worker():
        job = await site.reaches(job_id, JobState.FAILED)
        await site.reaches(await site.enqueue("note"), JobState.SUCCEEDED)
    assert job.last_error == error


async def test_run_later_keeps_the_job_and_is_not_a_failure(site: EngineSite) -> None:
    job_id = await site.enqueue("later", times=3)
    async with site.worker(poll_seconds=60):
        job = await site.reaches(job_id, JobState.SUCCEEDED)
    assert (job.attempts, job.last_error, job.priority) == (1, None, 0)
    assert await site.value("SELECT array_agg(DISTINCT attempt) FROM runs") == [1]
    assert await site.events() == ["priority 0"] * 4


async def test_run_later_waits_as_long_as_requested(site: EngineSite) -> None:
    job_id = await site.enqueue("later", times=1, delay=0.3)
    async with site.worker(poll_seconds=60):
        await site.reaches(job_id, JobState.SUCCEEDED)
    assert await site.value("SELECT extract(epoch FROM max(at) - min(at))::float FROM runs") >= 0.29


async def test_run_later_with_a_lower_priority_lets_others_go_first(site: EngineSite) -> None:
    long = await site.enqueue("later", times=2, lower=True)
    short = await site.enqueue("note")
    async with site.worker(concurrency=1):
        job = await site.reaches(long, JobState.SUCCEEDED)
        await site.reaches(short, JobState.SUCCEEDED)
    assert await site.events() == ["priority 0", "ran", "priority -1", "priority -2"]
    assert job.priority == -2


async def test_a_waiting_job_is_cancelled_at_once(site: EngineSite) -> None:
    job_id = await site.enqueue("note")
    assert await site.cancel(job_id)
    assert (await site.job(job_id)).state is JobState.CANCELLED
    assert not await site.cancel(job_id)
    async with site.worker():
        await site.reaches(await site.enqueue("note"), JobState.SUCCEEDED)
    assert await site.events(job_id) == []


async def test_a_running_job_is_asked_to_stop(site: EngineSite) -> None:
    job_id = await site.enqueue("wait", gate="gate")
    async with site.worker():
        await site.happens("begun", job_id)
        assert await site.cancel(job_id)
        await site.reaches(job_id, JobState.CANCELLED)
        assert not await site.cancel(job_id)
    assert await site.events(job_id) == ["begun", "cancelled"]


async def test_a_cancellation_in_a_transaction_waits_for_its_commit(site: EngineSite) -> None:
    job_id = await site.enqueue("note")
    async with site.connection.transaction(force_rollback=True):
        assert await site.cancel(job_id)
    assert (await site.job(job_id)).state is JobState.ENQUEUED


async def test_a_finished_job_cannot_be_cancelled(site: EngineSite) -> None:
    job_id = await site.enqueue("note")
    async with site.worker():
        await site.reaches(job_id, JobState.SUCCEEDED)
    assert not await site.cancel(job_id)
    assert (await site.job(job_id)).state is JobState.SUCCEEDED
