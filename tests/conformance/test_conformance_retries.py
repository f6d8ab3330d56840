"""Retries: as often and after such waits as the task says, and each attempt is kept with its error."""

from collections.abc import Iterator

import pytest
from conformance_site import ConformanceSite, Home

from bulkport.jobs import Effect, JobState, RetryPolicy
from bulkport.jobs.port.details import RunOutcome


@pytest.fixture(scope="module", autouse=True)
def _server(home: Home) -> Iterator[None]:
    with home.server("only"):
        yield


async def test_an_error_is_retried_and_each_attempt_is_recorded(site: ConformanceSite) -> None:
    job = await site.succeeds(await site.jobs.enqueue(site.tasks.stumble, 2))
    assert (job.result, job.attempts) == ("attempt 3 of 3", 3)
    assert [note.attempt for note in site.diary.notes(job.id)] == [1, 2, 3]

    runs = (await site.details(job.id)).runs
    assert [(run.run, run.outcome) for run in runs] == [
        (1, RunOutcome.FAILED),
        (2, RunOutcome.FAILED),
        (3, RunOutcome.SUCCEEDED),
    ]
    last_end = None
    for run in runs:
        assert run.server == "only"
        assert run.started_at is not None
        assert run.ended_at is not None
        assert run.ended_at >= run.started_at
        assert last_end is None or run.started_at >= last_end
        last_end = run.ended_at
    for number, run in enumerate(runs[:2], start=1):
        assert (run.error_type, run.error) == ("ConnectionError", f"no answer to attempt {number}")
        assert run.traceback is not None
        assert "Traceback" in run.traceback
        assert "in stumble" in run.traceback
        assert run.retry_at is not None


async def test_a_job_out_of_attempts_fails_and_its_hook_runs_once(site: ConformanceSite) -> None:
    job_id = await site.jobs.enqueue(site.tasks.stumble, 99)
    job = await site.ended(job_id)
    assert (job.state, job.attempts) == (JobState.FAILED, 3)
    assert job.last_error == "ConnectionError: no answer to attempt 3"
    assert site.diary.events(job_id) == ["tried", "tried", "tried", "settled ConnectionError"]
    assert site.diary.notes(job_id, event="tried")[-1].attempt == 3


@pytest.mark.parametrize("how", ["KeyError", "FinalError"])
async def test_final_exceptions_are_not_retried(site: ConformanceSite, how: str) -> None:
    job = await site.ended(await site.jobs.enqueue(site.tasks.refuse, how))
    assert (job.state, job.attempts) == (JobState.FAILED, 1)
    assert job.last_error is not None
    assert how in job.last_error
    assert site.diary.events(job.id) == ["tried"]


async def test_retry_delays_grow_exponentially_with_jitter(site: ConformanceSite) -> None:
    """0.4, 0.8 and 1.6 s, each less up to a half."""
    ids = [await site.jobs.enqueue(site.tasks.stumble_slowly) for _ in range(5)]
    waits = []
    for job_id in ids:
        assert (await site.ended(job_id)).state is JobState.FAILED
        runs = (await site.details(job_id)).runs
        planned = [(run.ended_at, run.retry_at) for run in runs]
        waits.append([(at - end).total_seconds() for end, at in planned if at is not None and end is not None])
        for note, (_, retry_at), run in zip(site.diary.notes(job_id)[1:], planned, runs[1:], strict=False):
            assert note.event == "tried"
            assert retry_at is not None
            assert run.started_at is not None
            assert run.started_at >= retry_at
    for several, full in zip(zip(*waits, strict=True), (0.4, 0.8, 1.6), strict=True):
        assert all(full * 0.5 - 0.1 <= wait <= full + 0.1 for wait in several)
        assert len(set(several)) > 1


def test_by_default_there_are_ten_attempts_with_growing_delays() -> None:
    policy = RetryPolicy()
    assert policy.max_attempts == 10
    assert policy.jitter > 0
    assert policy.allows_attempt_after(9)
    assert not policy.allows_attempt_after(10)


async def test_a_job_between_attempts_is_retrying_and_can_be_run_now(site: ConformanceSite) -> None:
    job_id = await site.jobs.enqueue(site.tasks.fall)
    job = await site.reaches(job_id, JobState.RETRYING)
    assert (job.attempts, job.last_error) == (1, "ConnectionError: no answer")
    assert job.scheduled_at is not None
    assert (await site.jobs.run_now(job_id)).effect is Effect.RELEASED
    job = await site.ended(job_id)
    assert (job.state, job.attempts) == (JobState.FAILED, 2)


async def test_a_task_can_reschedule_itself_without_counting_as_a_failure(site: ConformanceSite) -> None:
    job = await site.succeeds(await site.jobs.enqueue(site.tasks.later, 3))
    assert (job.result, job.attempts) == (3, 1)
    assert [note.attempt for note in site.diary.notes(job.id)] == [1, 1, 1, 1]
    outcomes = [run.outcome for run in (await site.details(job.id)).runs]
    assert outcomes == [RunOutcome.AGAIN] * 3 + [RunOutcome.SUCCEEDED]


async def test_a_run_beyond_its_timeout_fails(site: ConformanceSite) -> None:
    job = await site.ended(await site.jobs.enqueue(site.tasks.overtime))
    assert job.state is JobState.FAILED
    assert job.last_error is not None
    assert job.last_error.startswith("TimeoutError")
