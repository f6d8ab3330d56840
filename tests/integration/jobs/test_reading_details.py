"""One job with everything stored about it."""

from datetime import timedelta

import pytest
from engine_site import EngineSite
from reading_site import NOON, ReadingSite

from bulkport.identifiers import BackgroundJobId
from bulkport.jobs.errors import InvalidJobQuery
from bulkport.jobs.job import JobState
from bulkport.jobs.port.details import JobDetails, RunOutcome
from bulkport.jobs.port.queueing import NewJob, Outcome, Parent
from bulkport.jobs.postgres.reading import PostgresJobReader
from bulkport.pools import open_pool


def story(details: JobDetails) -> list[str]:
    """A summary of the timeline."""
    told = []
    for entry in details.timeline:
        if entry.run is not None:
            told.append(f"run {entry.run.run} {entry.run.outcome}")
        elif entry.change is not None:
            told.append(f"{entry.change.state} by {entry.change.actor}")
        else:
            told.append("created")
    return told


async def test_the_timeline_of_a_job_with_three_runs(site: EngineSite) -> None:
    job_id = await site.enqueue("fail", times=2)
    async with site.worker(name="worker"), open_pool(site.url, name="reading", most=1) as pool:
        await site.reaches(job_id, JobState.SUCCEEDED)
        details = await PostgresJobReader(pool).details(job_id)
    assert details is not None
    assert story(details) == [
        "created",
        "run 1 failed",
        "enqueued by None",
        "run 2 failed",
        "enqueued by None",
        "run 3 succeeded",
    ]
    first, _, last = details.runs
    assert (first.server, first.error_type is not None) == ("worker", True)
    assert first.traceback is not None
    assert "Traceback" in first.traceback
    assert first.retry_at is not None
    assert first.started_at is not None
    assert first.ended_at is not None
    assert details.job.created_at <= first.started_at <= first.ended_at <= first.retry_at
    assert (last.server, last.error_type, last.ended_at) == ("worker", None, details.job.finished_at)
    assert last.duration_seconds is not None
    assert details.job.duration_seconds == last.duration_seconds
    assert (details.job.runs, details.job.failures) == (3, 2)


async def test_a_running_job_shows_since_when_and_where(site: EngineSite) -> None:
    job_id = await site.enqueue("wait", gate="gate")
    async with site.worker(name="worker"), open_pool(site.url, name="reading", most=1) as pool:
        await site.happens("begun", job_id)
        details = await PostgresJobReader(pool).details(job_id)
        await site.open_gate()
        await site.reaches(job_id, JobState.SUCCEEDED)
    assert details is not None
    assert (details.job.state, details.job.server) == (JobState.PROCESSING, "worker")
    assert story(details) == ["created", "run 1 running"]
    assert details.runs[0].started_at is not None
    assert details.runs[0].ended_at is None
    assert details.runs[0].duration_seconds is None


async def test_runs_and_changes_are_listed_in_order(reading_site: ReadingSite) -> None:
    await reading_site.put(1, "failed", created_at=NOON, runs=2, error_type="ValueError", error="no")
    for run, seconds in ((1, 10), (2, 50)):
        await reading_site.connection.execute(
            "INSERT INTO bulkport.job_runs (job_id, run, outcome, server, started_at, ended_at)"
            " VALUES (1, %s, %s, 's', %s, %s)",
            (
                run,
                ["lost", "failed"][run - 1],
                NOON + timedelta(seconds=seconds),
                NOON + timedelta(seconds=seconds + 20),
            ),
        )
    for state, seconds, actor in (("cancelled", 35, "ada"), ("enqueued", 40, "grace")):
        await reading_site.connection.execute(
            "INSERT INTO bulkport.job_history (job_id, at, state, reason, actor) VALUES (1, %s, %s, 'why', %s)",
            (NOON + timedelta(seconds=seconds), state, actor),
        )
    details = await reading_site.reader.details(BackgroundJobId("1"))
    assert details is not None
    assert story(details) == ["created", "run 1 lost", "cancelled by ada", "enqueued by grace", "run 2 failed"]
    assert details.runs[0].duration_seconds == 20
    assert details.timeline[2].change is not None
    assert details.timeline[2].change.reason == "why"


async def test_a_long_history_is_listed_from_its_end(reading_site: ReadingSite) -> None:
    await reading_site.put(1, "enqueued", runs=250)
    await reading_site.connection.execute(
        "INSERT INTO bulkport.job_runs (job_id, run, outcome, ended_at)"
        " SELECT 1, n, 'again', clock_timestamp() + n * interval '1 s' FROM generate_series(1, 250) n"
    )
    details = await reading_site.reader.details(BackgroundJobId("1"))
    assert details is not None
    assert [run.run for run in details.runs] == list(range(151, 251))
    assert {run.outcome for run in details.runs} == {RunOutcome.AGAIN}


async def test_the_log_and_result_of_a_job_are_returned(reading_site: ReadingSite) -> None:
    await reading_site.put(1, result=None)
    await reading_site.connection.execute("UPDATE bulkport.finished_jobs SET result = '[1, {\"a\": null}]'")
    await reading_site.connection.execute(
        "INSERT INTO bulkport.job_progress (job_id, done, total, message, checkpoint)"
        " VALUES (1, 3, 7, 'third', '{\"row\": 3}')"
    )
    await reading_site.connection.execute(
        "INSERT INTO bulkport.job_logs (job_id, line, run, level, message)"
        " SELECT 1, n, 1, 'info', 'line ' || n FROM generate_series(1, 30) n"
    )
    job_id = BackgroundJobId("1")
    details = await reading_site.reader.details(job_id)
    assert details is not None
    assert (details.result, details.checkpoint, details.log_lines) == ([1, {"a": None}], {"row": 3}, 30)
    assert details.job.progress is not None
    assert (details.job.progress.done, details.job.progress.total, details.job.progress.message) == (3, 7, "third")
    lines = await reading_site.reader.logs(job_id, after=12, limit=10)
    assert [(line.line, line.message) for line in lines] == [(n, f"line {n}") for n in range(13, 23)]
    assert await reading_site.reader.logs(job_id, after=30) == ()
    for arguments in ({"limit": 0}, {"after": -1}, {"limit": 10_000}):
        with pytest.raises(InvalidJobQuery):
            await reading_site.reader.logs(job_id, **arguments)


async def test_a_checkpoint_alone_is_not_progress(reading_site: ReadingSite) -> None:
    await reading_site.put(1, "enqueued")
    await reading_site.connection.execute("INSERT INTO bulkport.job_progress (job_id, checkpoint) VALUES (1, '5')")
    details = await reading_site.reader.details(BackgroundJobId("1"))
    assert details is not None
    assert (details.job.progress, details.checkpoint) == (None, 5)


async def test_both_ends_of_a_continuation_link_to_each_other(reading_site: ReadingSite) -> None:
    site = reading_site
    parent = await site.engine.enqueue(site.connection, NewJob("first", {}))
    child = await site.engine.enqueue(
        site.connection, NewJob("second", {}, parents=(Parent(job_id=parent, on=Outcome.FINISHED),))
    )
    of_parent, of_child = await site.reader.details(parent), await site.reader.details(child)
    assert of_parent is not None
    assert of_child is not None
    (down,), (up,) = of_parent.children, of_child.parents
    assert (down.job_id, down.task, down.state, down.on) == (child, "second", JobState.AWAITING, "finished")
    assert (up.job_id, up.task, up.state, up.on) == (parent, "first", JobState.ENQUEUED, "finished")
    assert (of_parent.children_in_all, of_parent.parents_in_all, of_child.parents_in_all) == (1, 0, 1)
    # One that is pruned is still told of.
    await site.connection.execute("DELETE FROM bulkport.jobs WHERE job_id = %s", (int(parent),))
    of_child = await site.reader.details(child)
    assert of_child is not None
    assert (of_child.parents[0].job_id, of_child.parents[0].task, of_child.parents[0].state) == (parent, None, None)


async def test_a_batch_reports_its_progress(reading_site: ReadingSite) -> None:
    batch_id = await reading_site.value(
        "INSERT INTO bulkport.job_batches (description, user_id, sealed)"
        " VALUES ('July', 'ada', true) RETURNING batch_id"
    )
    for number, state in enumerate(["succeeded", "succeeded", "failed", "scheduled"], start=1):
        await reading_site.put(number, state, batch_id=batch_id)
    batch = await reading_site.reader.batch(batch_id)
    assert batch is not None
    assert (batch.description, batch.user_id, batch.is_sealed, batch.finished_at) == ("July", "ada", True, None)
    assert (batch.jobs, batch.finished_jobs, batch.states[JobState.SUCCEEDED]) == (4, 3, 2)
    details = await reading_site.reader.details(BackgroundJobId("1"))
    assert details is not None
    assert details.batch == batch
    for nonesuch in (batch_id + 1, 0, -1, 2**70):
        assert await reading_site.reader.batch(nonesuch) is None


async def test_copies_and_their_original_link_to_each_other(reading_site: ReadingSite) -> None:
    await reading_site.put(1)
    await reading_site.put(2, origin_id=1)
    await reading_site.put(3, origin_id=1)
    original = await reading_site.reader.details(BackgroundJobId("1"))
    copy = await reading_site.reader.details(BackgroundJobId("3"))
    assert original is not None
    assert copy is not None
    assert original.copies == ("3", "2")
    assert copy.job.origin_id == "1"


@pytest.mark.parametrize("job_id", ["", "0", "-1", "7", "x", "\uff19", str(2**63), "1" * 5000])
async def test_an_unknown_job_has_no_details(reading_site: ReadingSite, job_id: str) -> None:
    assert await reading_site.reader.details(BackgroundJobId(job_id)) is None
    assert await reading_site.reader.logs(BackgroundJobId(job_id)) == ()
