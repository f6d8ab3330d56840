"""States, history and context: transitions, output of runs, and what servers are running."""

from collections.abc import Iterator

import pytest
from conformance_site import ConformanceSite, Home, eventually

from bulkport.jobs import JobState
from bulkport.jobs.port.details import RunOutcome


@pytest.fixture(scope="module", autouse=True)
def _server(home: Home) -> Iterator[None]:
    with home.server("only", concurrency=7, queues=["default", "mail"]):
        yield


async def test_each_state_of_a_job_is_recorded_with_its_time_and_reason(site: ConformanceSite) -> None:
    gate = await site.jobs.enqueue(site.tasks.stay, "states")
    child = await site.jobs.continue_with(gate, site.tasks.add.options(user_id="ada").call(1))
    assert (await site.job(child)).state is JobState.AWAITING
    await site.reaches(gate, JobState.PROCESSING)
    site.diary.open_gate("states")
    await site.succeeds(child)
    await site.jobs.delete(child, reason="was wrong", actor="ada")
    details = await site.details(child)
    assert [entry.at for entry in details.timeline] == sorted(entry.at for entry in details.timeline)
    created, *_ = details.timeline
    assert created.change is None
    assert created.run is None
    (run,) = details.runs
    assert (run.outcome, run.server, run.run) == (RunOutcome.SUCCEEDED, "only", 1)
    assert run.duration_seconds is not None
    changes = [entry.change for entry in details.timeline if entry.change is not None]
    assert [change.state for change in changes] == [JobState.ENQUEUED, JobState.CANCELLED]
    assert all(change.reason for change in changes)
    assert (changes[-1].reason, changes[-1].actor) == ("was wrong", "ada")


async def test_a_finished_job_shows_its_duration_latency_server_and_result(site: ConformanceSite) -> None:
    job_id = await site.jobs.enqueue(site.tasks.work, 0.05)
    await site.succeeds(job_id)
    job = (await site.details(job_id)).job
    assert job.duration_seconds is not None
    assert job.duration_seconds >= 0.05
    assert job.latency_seconds is not None
    assert job.latency_seconds >= 0
    assert job.started_at is not None
    assert job.finished_at is not None
    assert job.created_at <= job.started_at <= job.finished_at
    assert (job.server, job.runs, job.failures) == ("only", 1, 0)
    result = await site.jobs.enqueue(site.tasks.give, "plain")
    await site.succeeds(result)
    assert (await site.details(result)).result == {"sizes": [1, 2.5, None]}


async def test_a_running_job_shows_its_progress_log_and_server(site: ConformanceSite) -> None:
    job_id = await site.jobs.enqueue(site.tasks.report, 6, "report")
    await site.happens("step 2", job_id)

    async def is_shown() -> bool:
        progress = (await site.details(job_id)).job.progress
        return progress is not None and (progress.done, progress.total, progress.message) == (3, 6, "step 3")

    await eventually(is_shown, "progress")
    (server,) = await site.jobs.servers()
    assert (server.name, server.concurrency, server.queues) == ("only", 7, ("default", "mail"))
    assert server.host
    assert server.process_id > 0
    assert server.version
    assert not server.is_silent
    assert server.started_at <= server.last_heartbeat
    (running,) = [running for running in server.running if running.id == job_id]
    assert (running.task, running.queue) == ("report", "default")
    assert running.started_at is not None
    assert running.progress is not None
    details = await site.details(job_id)
    assert details.job.state is JobState.PROCESSING
    assert details.runs[-1].outcome is RunOutcome.RUNNING

    site.diary.open_gate("report")
    assert (await site.succeeds(job_id)).result == 0
    details = await site.details(job_id)
    assert details.checkpoint == 6
    lines = await site.jobs.logs(job_id)
    assert [line.message for line in lines] == [f"did step {step}" for step in range(6)]
    assert [line.level for line in lines] == ["warning"] + ["info"] * 5
    assert [line.line for line in await site.jobs.logs(job_id, after=4)] == [5, 6]


async def test_the_log_of_a_job_is_bounded(site: ConformanceSite) -> None:
    job_id = await site.jobs.enqueue(site.tasks.report, 1_005)
    await site.succeeds(job_id)
    details = await site.details(job_id)
    assert details.log_lines <= 1_001
    (last,) = await site.jobs.logs(job_id, after=details.log_lines - 1)
    assert last.level == "warning"
    assert "only" in last.message


async def test_an_unknown_job_is_none(site: ConformanceSite) -> None:
    for unknown in ("999999999", "no number", ""):
        assert await site.jobs.get(unknown) is None  # type: ignore[arg-type]
        assert await site.jobs.details(unknown) is None  # type: ignore[arg-type]
    assert await site.jobs.batch_status(999_999_999) is None
