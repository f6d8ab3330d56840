"""What is kept of a job: its result, its runs, its errors, and what the statistics are made of."""

from typing import Any

import pytest
from engine_site import EngineSite, eventually
from hand_worker import hand_worker
from psycopg.rows import dict_row

from bulkport.jobs import JobState
from bulkport.jobs.port import NewJob


async def rows(site: EngineSite, query: str, *arguments: object) -> list[dict[str, Any]]:
    async with site.connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(query, arguments)  # type: ignore[arg-type]
        return await cursor.fetchall()


async def runs_of(site: EngineSite, job_id: str) -> list[dict[str, Any]]:
    return await rows(site, "SELECT * FROM bulkport.job_runs WHERE job_id = %s ORDER BY run", int(job_id))


async def job_row(site: EngineSite, job_id: str) -> dict[str, Any]:
    (row,) = await rows(site, "SELECT * FROM bulkport.all_jobs WHERE job_id = %s", int(job_id))
    return row


async def test_a_succeeded_job_is_recorded_and_leaves_the_queue(site: EngineSite) -> None:
    job_id = await site.add(NewJob("give", {"what": "plain"}, user_id="ada"))
    async with site.worker(name="worker"):
        job = await site.reaches(job_id, JobState.SUCCEEDED)
    assert (job.result, job.user_id) == ({"name": "ada", "sizes": [1, 2.5, None]}, "ada")
    row = await job_row(site, job_id)
    assert (row["runs"], row["failures"], row["server"], row["error_type"]) == (1, 0, "worker", None)
    assert row["created_at"] <= row["started_at"] <= row["finished_at"]
    assert "plain" in row["search_text"]
    assert await site.value("SELECT count(*) FROM bulkport.jobs") == 0
    assert await runs_of(site, job_id) == []


@pytest.mark.parametrize(
    ("what", "result", "why"),
    [
        ("date", "2030-01-02", None),
        ("nul", None, "its result was not stored: not storable: text with a NUL character"),
        ("large", None, "its result was not stored: 70,002 bytes of JSON are more than the 65,536 allowed"),
        ("function", None, "its result was not stored: not JSON"),
        ("unspeakable", None, "its result was not stored: "),
    ],
)
async def test_a_result_that_cannot_be_stored_is_dropped_and_logged(
    site: EngineSite, what: str, result: object, why: str | None
) -> None:
    job_id = await site.enqueue("give", what=what)
    async with site.worker():
        job = await site.reaches(job_id, JobState.SUCCEEDED)
    assert job.result == result
    reasons = [row["reason"] for row in await rows(site, "SELECT reason FROM bulkport.job_history")]
    assert len(reasons) == (why is not None)
    assert all(reason.startswith(why) for reason in reasons)


async def test_each_failed_attempt_is_recorded_with_its_traceback(site: EngineSite) -> None:
    job_id = await site.enqueue("fail", times=9)
    async with site.worker(name="worker"):
        await site.reaches(job_id, JobState.FAILED)
    runs = await runs_of(site, job_id)
    assert [(run["run"], run["outcome"], run["retry_at"] is not None) for run in runs] == [
        (1, "failed", True),
        (2, "failed", True),
        (3, "failed", False),
    ]
    for number, run in enumerate(runs, start=1):
        assert (run["server"], run["error_type"], run["error"]) == ("worker", "ValueError", f"failure {number}\ufffd")
        assert run["traceback"].startswith("Traceback (most recent call last):")
        assert "in fail" in run["traceback"]
        assert run["started_at"] <= run["ended_at"]
    row = await job_row(site, job_id)
    assert (row["failures"], row["runs"], row["due_at"]) == (3, 3, None)
    assert "failure 3" in row["search_text"]


@pytest.mark.parametrize("how", ["FinalError", "KeyError"])
async def test_a_final_error_is_not_retried(site: EngineSite, how: str) -> None:
    job_id = await site.enqueue("refuse", how=how)
    async with site.worker():
        job = await site.reaches(job_id, JobState.FAILED)
    assert job.attempts == 1
    assert job.last_error is not None
    assert job.last_error.startswith(f"{how}: ")
    assert await site.events(job_id) == [f"settled {how} last=False"]


async def test_runs_without_an_error_are_recorded_with_their_outcome(site: EngineSite) -> None:
    again = await site.enqueue("later", times=1)
    waits = await site.enqueue("later", times=1, delay=0.05)
    async with site.worker(poll_seconds=60):
        for job_id in (again, waits):
            job = await site.reaches(job_id, JobState.SUCCEEDED)
            assert (job.attempts, job.last_error) == (1, None)
            (run,) = await runs_of(site, job_id)
            assert (run["outcome"], run["error"], run["retry_at"] is None) == ("again", None, job_id == again)
    async with site.worker(name="ends", shutdown_seconds=0.05):
        stopped = await site.enqueue("wait", gate="gate")
        await site.happens("begun", stopped)
    (run,) = await runs_of(site, stopped)
    assert (run["outcome"], run["server"]) == ("handed_back", "ends")
    async with site.worker():
        await site.happens("begun", stopped, times=2)
        await site.cancel(stopped)
        await site.reaches(stopped, JobState.CANCELLED)
    assert [run["outcome"] for run in await runs_of(site, stopped)] == ["handed_back", "cancelled"]
    reasons = await rows(site, "SELECT state::text, reason FROM bulkport.job_history WHERE job_id = %s", int(stopped))
    assert [row["state"] for row in reasons] == ["processing", "cancelled"]


async def test_a_task_that_reschedules_itself_forever_does_not_fill_the_tables(site: EngineSite) -> None:
    job_id = await site.enqueue("give", what="plain")
    await site.connection.execute(
        "INSERT INTO bulkport.job_runs (job_id, run, outcome, error_type, ended_at)"
        " SELECT %(job)s, run, CASE WHEN run = 7 THEN 'lost' ELSE 'again' END, CASE WHEN run = 8 THEN 'Error' END,"
        " clock_timestamp() - make_interval(secs => 2000 - run) FROM generate_series(1, 1000) AS run",
        {"job": int(job_id)},
    )
    await site.connection.execute(
        "INSERT INTO bulkport.job_history (job_id, at, state, reason, actor)"
        " SELECT job_id, ended_at - interval '0.5 s', 'enqueued',"
        " CASE WHEN run = 9 THEN 'requeued' ELSE 'its time came' END, NULL"
        " FROM bulkport.job_runs WHERE job_id = %(job)s",
        {"job": int(job_id)},
    )
    await site.connection.execute("UPDATE bulkport.jobs SET runs = 1000")
    async with hand_worker(site.url) as worker:
        assert await worker.claim() == job_id
        await worker.end(job_id, "again")
        await worker.commit()
    assert [run["run"] for run in await runs_of(site, job_id)] == [7, 8, *range(101, 1002)]
    changes = await rows(site, "SELECT reason FROM bulkport.job_history WHERE job_id = %s ORDER BY id", int(job_id))
    assert [change["reason"] for change in changes] == ["requeued", *["its time came"] * 900]


async def test_a_run_whose_server_died_is_recorded_with_the_servers_name(site: EngineSite) -> None:
    async with site.process("dead") as dead:
        job_id = await site.enqueue("wait", gate="gate")
        await site.happens("begun", job_id)
        dead.kill()
        await dead.ends()
    await site.engine.rescue(["dead"], site.connection)
    (run,) = await runs_of(site, job_id)
    assert (run["outcome"], run["server"], run["error"]) == ("lost", "dead", None)
    begun = await site.value("SELECT at FROM runs WHERE job_id = %s", job_id)
    assert run["started_at"] <= begun <= run["ended_at"]
    assert (await site.job(job_id)).attempts == 0


async def test_a_job_that_kills_its_workers_eventually_fails(site: EngineSite) -> None:
    job_id = await site.enqueue("die")
    for name in ("first", "second"):
        async with site.process(name) as worker:
            await worker.ends()
        await site.engine.rescue([name], site.connection)
    async with site.process("third"):
        job = await site.reaches(job_id, JobState.FAILED)
    assert job.last_error == "WorkerDied: the worker died 2 times while it ran this job"
    assert await site.events(job_id) == ["begun", "begun", "settled WorkerDied last=False"]
    assert [run["outcome"] for run in await runs_of(site, job_id)] == ["lost", "lost", "failed"]


async def test_every_state_change_is_counted_with_duration_and_latency(site: EngineSite) -> None:
    jobs = [
        await site.enqueue("note"),
        await site.enqueue("fail", times=1),
        await site.add(NewJob("note", {}, delay=0.05)),
        await site.enqueue("later", times=1),
    ]
    cancelled = await site.add(NewJob("note", {}, delay=60))
    await site.cancel(cancelled)
    # Counts are as of the deltas: none are moved while a lock is held that the mover wants.
    await site.connection.execute("SELECT pg_advisory_lock(hashtextextended('bulkport.rollup', 0))")
    async with site.worker():
        for job_id in jobs:
            await site.reaches(job_id, JobState.SUCCEEDED)
    counted = await rows(
        site,
        """
        SELECT task, state, sum(jobs)::integer AS jobs FROM (
            SELECT task, entered_state AS state, jobs FROM bulkport.job_deltas
            UNION ALL SELECT task, left_state, -jobs FROM bulkport.job_deltas
            UNION ALL SELECT task, state, jobs FROM bulkport.job_counts
        ) AS change WHERE state IS NOT NULL GROUP BY 1, 2 HAVING sum(jobs) <> 0
        """,
    )
    assert {(row["task"], row["state"]): row["jobs"] for row in counted} == {
        ("note", "succeeded"): 2,
        ("note", "cancelled"): 1,
        ("fail", "succeeded"): 1,
        ("later", "succeeded"): 1,
    }
    timed = await rows(
        site,
        "SELECT task, unnest(durations_ms) AS duration_ms, unnest(latencies_ms) AS latency_ms FROM bulkport.job_deltas",
    )
    assert sorted(row["task"] for row in timed) == ["fail", "fail", "later", "later", "note", "note"]
    assert all(0 < row["duration_ms"] < 10_000 and 0 <= row["latency_ms"] < 10_000 for row in timed)


async def test_a_draining_worker_is_not_declared_dead(site: EngineSite) -> None:
    async with site.process("draining", heartbeat=0.25, stalled=1.25, shutdown=60) as draining:
        job_id = await site.enqueue("wait", gate="gate")
        await site.happens("begun", job_id)
        draining.terminate()
        begun = await site.value("SELECT clock_timestamp()")
        async with site.process("other", heartbeat=0.25, stalled=1.25):

            async def has_beaten_on() -> bool:
                query = "SELECT last_heartbeat - %s > interval '2.5 seconds' FROM bulkport.servers WHERE name = %s"
                return bool(await site.value(query, begun, "draining"))

            await eventually(has_beaten_on, "the draining worker beats on")
            await site.open_gate()
            await site.reaches(job_id, JobState.SUCCEEDED)
            assert await draining.ends() == 0
    assert await site.events(job_id) == ["begun", "ended"]
