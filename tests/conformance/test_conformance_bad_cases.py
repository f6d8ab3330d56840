"""What goes wrong around a task ends in a clear state and a log line, and no server dies of it."""

from collections.abc import Iterator

import pytest
from conformance_site import ConformanceSite, Home, ServerProcess, eventually

from bulkport.jobs import JobCall, JobOptions, JobState
from bulkport.jobs.errors import TaskAlreadyDeclared, TaskDeclarationError
from bulkport.jobs.port import NewJob


@pytest.fixture(scope="module", autouse=True)
def server(home: Home) -> Iterator[ServerProcess]:
    with home.server("only", queues=["default", "mail"]) as process:
        yield process


@pytest.fixture(autouse=True)
async def _still_serving(site: ConformanceSite, server: ServerProcess) -> None:
    """Whatever the last test did to it, the one server of the module works."""
    await site.succeeds(await site.jobs.enqueue(site.tasks.add, 1))


def in_log(server: ServerProcess, job_id: str, *levels: str) -> list[str]:
    """What the server says of a job, as text."""
    return [str(line) for level in levels for line in server.said(level, job_id)]


async def test_a_job_whose_task_no_server_knows_waits_and_delays_no_other(site: ConformanceSite) -> None:
    """It may be one of a newer version."""
    unknown = [await site.jobs.enqueue(JobCall("long gone", {"a": 1}, JobOptions(priority=9))) for _ in range(30)]
    await site.succeeds(await site.jobs.enqueue(site.tasks.add, 1))
    for job_id in unknown:
        job = await site.job(job_id)
        assert (job.state, job.attempts, job.last_error) == (JobState.ENQUEUED, 0, None)
        assert (await site.details(job_id)).runs == ()
        await site.jobs.cancel(job_id)


@pytest.mark.parametrize(
    ("args", "named"), [({"a": "many"}, "a"), ({}, "a"), ({"a": 1, "c": 2}, "c"), ({"a": None}, "a")]
)
async def test_arguments_that_no_longer_fit_fail_the_job(
    site: ConformanceSite, server: ServerProcess, args: dict[str, object], named: str
) -> None:
    job_id = await site.engine.port().enqueue(site.connection, NewJob("add", args))  # type: ignore[arg-type]
    job = await site.ended(job_id)
    assert (job.state, job.attempts) == (JobState.FAILED, 1)
    assert job.last_error is not None
    assert job.last_error.startswith("ArgumentsDoNotFit")
    assert named in job.last_error
    assert in_log(server, job_id, "error")
    assert site.diary.events(job_id) == []


@pytest.mark.parametrize("what", ["large", "nul", "nan", "surrogate", "no JSON", "unspeakable"])
async def test_a_result_that_cannot_be_stored_is_dropped_and_reported(
    site: ConformanceSite, server: ServerProcess, what: str
) -> None:
    """The task has done its work: the job succeeds, without the result, and says why."""
    job_id = await site.jobs.enqueue(site.tasks.give, what)
    job = await site.succeeds(job_id)
    assert job.result is None
    details = await site.details(job_id)
    reasons = [entry.change.reason for entry in details.timeline if entry.change is not None]
    assert any("result" in reason for reason in reasons)
    assert in_log(server, job_id, "warning")


async def test_an_exception_that_cannot_be_formatted_is_recorded(site: ConformanceSite, server: ServerProcess) -> None:
    job_id = await site.jobs.enqueue(site.tasks.unspeakable)
    job = await site.ended(job_id)
    assert job.state is JobState.FAILED
    assert job.last_error is not None
    assert job.last_error.startswith("UnspeakableError")
    (run,) = (await site.details(job_id)).runs
    assert run.traceback is not None
    assert "in unspeakable" in run.traceback
    assert in_log(server, job_id, "error")


async def test_a_server_whose_clock_is_a_minute_off_works_correctly(site: ConformanceSite) -> None:
    """It starts no job before its time or long after it, takes no other server for dead, and writes no wrong times."""
    for ahead in (60, -60):
        name, queue = f"clock {ahead}", f"clock {ahead}"
        with site.server(name, clock_seconds=ahead, queues=[queue], heartbeat_seconds=0.5, stalled_seconds=5):
            await site.serving(name, "only")
            task = site.tasks.work.options(queue=queue)
            scheduled = await site.jobs.schedule(task.call(0.05), in_=1.5)
            far = await site.jobs.schedule(task.call(), in_=3600)
            retried = await site.jobs.enqueue(site.tasks.stumble.options(queue=queue).call(1))
            await site.succeeds(retried)
            await site.succeeds(scheduled)
            job = (await site.details(scheduled)).job
            assert (job.server, job.due_at) == (name, None)
            assert job.started_at is not None
            assert job.started_at >= job.ready_at
            assert job.duration_seconds is not None
            assert 0.04 < job.duration_seconds < 30
            assert job.latency_seconds is not None
            assert job.latency_seconds < 30
            for run in (await site.details(retried)).runs:
                assert run.duration_seconds is not None
                assert run.duration_seconds < 30
            assert (await site.job(far)).state is JobState.SCHEDULED
            await site.serving(name, "only")
            (status,) = [server for server in await site.jobs.servers() if server.name == name]
            assert status.heartbeat_age_seconds < 30
            await site.jobs.cancel(far)


async def test_servers_of_two_versions_run_the_tasks_they_know_and_lose_nothing(site: ConformanceSite) -> None:
    """Each version leaves tasks that it does not know to the other."""
    queues = ["editions"]
    options = JobOptions(queue="editions")
    with site.server("older", edition="older", queues=queues), site.server("newer", edition="newer", queues=queues):
        await site.serving("older", "newer")
        bills = [await site.jobs.enqueue(JobCall("bill", {"amount": number}, options)) for number in range(20)]
        of_new = [await site.jobs.enqueue(JobCall("new", {}, options)) for _ in range(6)]
        of_old = [await site.jobs.enqueue(JobCall("dropped", {}, options)) for _ in range(6)]
        for number, job_id in enumerate(bills):
            assert (await site.succeeds(job_id)).result in {f"{number}", f"{number} EUR"}
            assert len(site.diary.events(job_id)) == 1
        for job_id in [*of_new, *of_old]:
            await site.succeeds(job_id)
            assert site.diary.events(job_id) == ["newer" if job_id in of_new else "older"]
        versions = {server.name: server.version for server in await site.jobs.servers()}
        assert versions["older"] == versions["newer"] != ""


async def test_invalid_declarations_are_rejected(site: ConformanceSite) -> None:
    with pytest.raises(TaskAlreadyDeclared):
        site.jobs.task(name="add")(lambda: None)
    with pytest.raises(TaskDeclarationError):
        site.jobs.task(name="any")(lambda *args: None)
    with pytest.raises(ValueError, match="queue"):
        site.tasks.add.options(queue="")


async def test_a_server_logs_its_problems_and_continues(site: ConformanceSite, server: ServerProcess) -> None:
    job_id = await site.jobs.enqueue(site.tasks.refuse, "KeyError")
    await site.ended(job_id)

    async def is_said() -> bool:
        return bool(server.said("error", job_id))

    await eventually(is_said, "a line of the failure")
    (line,) = server.said("error", job_id)
    assert line["task"] == "refuse"
    assert "no use" in str(line)
