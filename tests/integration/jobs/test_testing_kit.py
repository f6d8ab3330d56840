"""What `bulkport.testing` has for the tests of an application."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from pydantic import BaseModel, Field

from bulkport import Bulkport, FinalError, JobContext, JobState, Resource, RetryLater, RetryPolicy
from bulkport.errors import ValidationFailed
from bulkport.jobs.context import JobCancelled, StopRequested
from bulkport.jobs.errors import ArgumentsDoNotFit, UnknownTask
from bulkport.jobs.run_output import Progress
from bulkport.testing import (
    advance,
    assert_enqueued,
    assert_not_enqueued,
    drain,
    enqueued,
    import_file,
    inline,
    job_context,
)


class Book(BaseModel):
    title: str = Field(max_length=10)
    pages: int


KEYED = Resource(
    name="keyed",
    label="Book",
    label_field="title",
    model=Book,
    table="books",
    key=("title",),
    modes=("upsert",),
)


@pytest.fixture
def mail(database_url: str) -> Bulkport:
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE books (title text PRIMARY KEY, pages integer NOT NULL)")
    bulkport = Bulkport(database_url, resources=[KEYED])
    bulkport.sent = []  # type: ignore[attr-defined]

    @bulkport.task(name="send", retry=RetryPolicy(max_attempts=3, base_seconds=3600, max_seconds=3600, jitter=0))
    async def send(to: str) -> int:
        bulkport.sent.append(to)  # type: ignore[attr-defined]
        if to == "nobody":
            raise LookupError("no such address")
        return len(to)

    return bulkport


@pytest.fixture
async def connected(mail: Bulkport) -> AsyncIterator[Bulkport]:
    async with mail.connect():
        yield mail


async def test_assert_enqueued_finds_a_job_by_its_arguments(connected: Bulkport) -> None:
    send = connected.tasks["send"]
    job_id = await connected.enqueue(send, "ada")
    assert (await assert_enqueued(connected, send, "ada")).id == job_id
    assert (await assert_enqueued(connected, send)).id == job_id
    await assert_not_enqueued(connected, send, "bob")
    with pytest.raises(AssertionError, match=r"no job of send waits with \{'to': 'bob'\}: \{'to': 'ada'\}"):
        await assert_enqueued(connected, send, to="bob")
    with pytest.raises(AssertionError, match="a job of send waits"):
        await assert_not_enqueued(connected, send)
    with pytest.raises(ArgumentsDoNotFit):
        await assert_enqueued(connected, send, 1, 2)


async def test_draining_runs_everything_queued_and_reports_the_outcomes(connected: Bulkport) -> None:
    send = connected.tasks["send"]
    for to in ("ada", "bob", "nobody"):
        await connected.enqueue(send, to)
    drained = await drain(connected)
    assert (drained.succeeded, drained.failed, drained.cancelled) == (2, 0, 0)
    assert [job.error for job in drained.retrying] == ["no such address"]
    assert [job.args for job in await enqueued(connected, send)] == [{"to": "nobody"}]
    with pytest.raises(AssertionError, match=r"send\(\{'to': 'nobody'\}\): LookupError: no such address"):
        drained.raise_errors()


async def test_moving_the_test_clock_makes_jobs_and_retries_due(connected: Bulkport) -> None:
    send = connected.tasks["send"]
    await connected.schedule(send, "ada", in_=timedelta(hours=2))
    await connected.enqueue(send, "nobody")
    await drain(connected)
    await advance(connected, minutes=59)
    assert (await drain(connected)).jobs == ()
    await advance(connected, minutes=2)
    await drain(connected)
    assert connected.sent == ["nobody", "nobody"]  # type: ignore[attr-defined]
    await advance(connected, hours=1)
    drained = await drain(connected)
    assert (drained.succeeded, drained.failed) == (1, 1)
    with pytest.raises(ValueError, match="cannot go back"):
        await advance(connected, hours=-1)


async def test_draining_with_scheduled_jobs_runs_them_to_completion(connected: Bulkport) -> None:
    send = connected.tasks["send"]
    await connected.schedule(send, "ada", in_=timedelta(days=30))
    await connected.enqueue(send, "nobody")
    drained = await drain(connected, with_scheduled=True)
    assert (drained.succeeded, drained.failed, drained.retrying) == (1, 1, ())
    assert connected.sent == ["nobody"] * 3 + ["ada"]  # type: ignore[attr-defined]
    await connected.enqueue(send, "nobody")
    with pytest.raises(AssertionError, match="no such address"):
        await drain(connected, raise_errors=True)


async def test_draining_skips_paused_queues_and_other_applications_tasks(connected: Bulkport) -> None:
    send = connected.tasks["send"]
    await connected.pause_queue("mail")
    await connected.enqueue(send.options(queue="mail").call("ada"))
    other = Bulkport(connected.database_url)

    @other.task(name="elsewhere")
    async def elsewhere() -> None: ...

    async with other.connect():
        await other.enqueue(elsewhere)
    assert (await drain(connected)).jobs == ()


async def test_a_file_is_imported_without_a_server_and_its_errors_are_returned(mail: Bulkport, tmp_path: Path) -> None:
    result = await import_file(mail, KEYED, b"title,pages\nEmma,474\nPersuasion and more,1\nEmma,x\n")
    assert (result.status, result.total, result.succeeded, result.failed) == ("PartialSuccess", 3, 1, 2)
    assert result.counts["created"] == 1
    assert [(error.row, list(error.errors)) for error in result.errors] == [(2, ["title"]), (3, ["pages"])]
    assert result.errors[0].record["title"] == "Persuasion and more"
    file = tmp_path / "books.ndjson"
    file.write_text('{"title": "Emma", "pages": 480}\n{"title": "Sanditon", "pages": 90}\n')
    again = await import_file(mail, "keyed", file, mode="upsert", dry_run=True)
    assert (again.counts["updated"], again.counts["created"]) == (1, 1)
    again = await import_file(mail, "keyed", file, mode="upsert", handling="strict")
    assert again.status == "Completed"
    with psycopg.connect(mail.database_url) as connection:
        assert connection.execute("SELECT pages FROM books ORDER BY title").fetchall() == [(480,), (90,)]
    with pytest.raises(ValidationFailed, match="validation errors"):
        await import_file(mail, KEYED, b"title,pages\n", mode="delete")
    with pytest.raises(ValueError, match="no resource is called 'cars'; there are keyed"):
        await import_file(mail, "cars", b"title\n")


async def test_inline_jobs_run_when_enqueued_and_need_no_database() -> None:
    bulkport = Bulkport("postgresql://nobody@127.0.0.1:1/nothing")
    seen: list[str] = []

    @bulkport.task
    async def outer(name: str, when: datetime) -> str:
        await bulkport.enqueue(inner, name, connection=None)
        return f"{name} {when:%Y}"

    @bulkport.task
    def inner(context: JobContext, name: str) -> None:
        context.progress(1, 1)
        context.log("done")
        seen.append(name)

    with inline(bulkport) as jobs:
        job_id = await bulkport.enqueue(outer, "ada", datetime(2026, 1, 1, tzinfo=UTC))
        assert seen == ["ada"]
        job = await bulkport.get(job_id)
        assert job is not None
        assert (job.state, job.result) == (JobState.SUCCEEDED, "ada 2026")
        (inside,) = jobs.of(inner)
        assert inside.context is not None
        assert inside.context.progress_reports == [Progress(1, 1, None)]
        assert [line.message for line in inside.context.lines] == ["done"]
        bulkport.sync.enqueue(inner, "from sync code")
        assert seen[-1] == "from sync code"
        with pytest.raises(ArgumentsDoNotFit):
            await bulkport.enqueue(inner, 3)  # type: ignore[arg-type]


async def test_inline_scheduled_jobs_wait_for_the_clock() -> None:
    bulkport = Bulkport("")
    polls: list[int] = []

    @bulkport.task
    async def poll(context: JobContext) -> None:
        polls.append(len(polls))
        context.save_checkpoint(len(polls))
        if len(polls) < 3:
            raise RetryLater(60)

    with inline(bulkport) as jobs:
        await bulkport.schedule(poll, in_=3600)
        await jobs.advance(minutes=59)
        assert polls == []
        await jobs.advance(minutes=5)
        assert polls == [0, 1, 2]
        assert jobs.jobs[0].state is JobState.SUCCEEDED
        assert jobs.jobs[0].checkpoint == 3


async def test_inline_errors_are_raised_or_retried_according_to_the_task() -> None:
    bulkport = Bulkport("")

    @bulkport.task(retry=RetryPolicy(max_attempts=2, base_seconds=10, jitter=0))
    async def fail(final: bool) -> None:
        raise FinalError("no") if final else ValueError("not now")

    with inline(bulkport), pytest.raises(ValueError, match="not now"):
        await bulkport.enqueue(fail, False)
    with inline(bulkport, raise_errors=False) as jobs:
        await bulkport.enqueue(fail, False)
        await bulkport.enqueue(fail, True)
        assert [job.state for job in jobs.jobs] == [JobState.RETRYING, JobState.FAILED]
        await jobs.advance(seconds=10)
        assert [job.state for job in jobs.jobs] == [JobState.FAILED, JobState.FAILED]
        assert [job.runs for job in jobs.jobs] == [2, 1]


async def test_inline_batches_and_continuations_run_in_order() -> None:
    bulkport = Bulkport("")
    ran: list[str] = []

    @bulkport.task
    async def step(name: str) -> None:
        ran.append(name)

    with inline(bulkport) as jobs:
        async with bulkport.batch("steps") as batch:
            batch.then(step.call("after"))
            batch.add(step, "one")
            batch.add(step, "two")
        assert ran == ["one", "two", "after"]
        first = await bulkport.schedule(step, "later", in_=60)
        await bulkport.continue_with(first, step.call("then"))
        await bulkport.continue_with(first, step.call("never"), on="failed")
        assert ran[-1] == "after"
        await jobs.advance(seconds=60)
        assert ran[-2:] == ["later", "then"]
        assert jobs.jobs[-1].state is JobState.CANCELLED
    stranger = Bulkport("")
    with inline(stranger), pytest.raises(UnknownTask):
        await stranger.enqueue(step.call("x"))


def test_a_job_context_records_a_tasks_output_and_can_request_a_stop() -> None:
    context = job_context({"page": 1}, attempt=3, max_attempts=3, checkpoint={"page": 4})
    assert context.is_last_attempt
    assert context.checkpoint == {"page": 4}
    context.progress(10, 20, "reading")
    context.log("slow", "warning")
    context.save_checkpoint({"page": 5})
    assert context.progress_reports == [Progress(10, 20, "reading")]
    assert [(line.level, line.message) for line in context.lines] == [("warning", "slow")]
    assert context.checkpoint == {"page": 5}
    context.check()
    context.request_stop()
    with pytest.raises(StopRequested):
        context.check()
    context.request_cancel()
    with pytest.raises(JobCancelled):
        context.check()
