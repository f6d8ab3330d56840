"""Workers that die, hang, lose their connections or are stopped: no job is lost, none runs twice at one time."""

import asyncio
import os
import signal

import psycopg
from engine_site import HASTY, EngineSite, eventually

from bulkport.jobs import JobState

_TERMINATE = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


async def test_the_jobs_of_a_killed_worker_are_taken_over(site: EngineSite) -> None:
    async with site.process("first", **HASTY) as first, site.process("second", **HASTY):
        jobs = [await site.enqueue("wait", gate="gate") for _ in range(6)]
        await site.happens("begun", times=6)
        lost = len(await site.events(worker="first"))
        first.send_signal(signal.SIGKILL)
        await first.ends()
        assert lost > 0
        async with site.process("third", **HASTY):
            await site.happens("begun", times=6 + lost)
            assert await site.servers() == ["second", "third"]
            await site.open_gate()
            for job_id in jobs:
                job = await site.reaches(job_id, JobState.SUCCEEDED)
                assert (job.attempts, job.last_error) == (1, None)
    assert (await site.events()).count("ended") == 6


async def test_the_jobs_of_a_worker_reported_dead_are_taken_over_at_once(site: EngineSite) -> None:
    async with site.process("dead") as dead:
        job_id = await site.enqueue("wait", gate="gate")
        await site.happens("begun", job_id)
        cancelled = await site.enqueue("wait", gate="gate")
        await site.happens("begun", cancelled)
        dead.send_signal(signal.SIGKILL)
        await dead.ends()
    await site.cancel(cancelled)
    async with site.worker(name="alive", poll_seconds=60):
        assert await site.engine.rescue(["nobody"], site.connection) == []
        assert sorted(await site.engine.rescue(["dead"], site.connection)) == sorted([job_id, cancelled])
        await site.happens("begun", job_id, worker="alive")
        assert await site.servers() == ["alive"]
        assert (await site.job(cancelled)).state is JobState.CANCELLED
        await site.open_gate()
        await site.reaches(job_id, JobState.SUCCEEDED)


async def test_rescuing_all_requeues_every_running_job(site: EngineSite) -> None:
    async with site.process("dead") as dead:
        job_id = await site.enqueue("wait", gate="gate")
        await site.happens("begun", job_id)
        dead.send_signal(signal.SIGKILL)
        await dead.ends()
    async with site.connection.transaction(force_rollback=True):
        assert await site.engine.rescue(None, site.connection) == [job_id]
    assert (await site.job(job_id)).state is JobState.PROCESSING
    assert await site.engine.rescue(None, site.connection) == [job_id]
    assert (await site.job(job_id)).state is JobState.ENQUEUED
    assert await site.servers() == []


async def test_a_frozen_worker_that_resumes_leaves_its_job_to_the_new_owner(site: EngineSite) -> None:
    async with site.process("frozen", **HASTY) as frozen:
        job_id = await site.enqueue("wait", gate="gate")
        await site.happens("begun", job_id, worker="frozen")
        frozen.send_signal(signal.SIGSTOP)
        async with site.process("healthy", **HASTY):
            await site.happens("begun", job_id, worker="healthy")
            frozen.send_signal(signal.SIGCONT)
            await site.happens("stopped", job_id, worker="frozen")
            assert (await site.job(job_id)).state is JobState.PROCESSING
            await site.serving("frozen")
            await site.open_gate()
            await site.reaches(job_id, JobState.SUCCEEDED)
            # It serves again, with a lease of its own.
            await site.enqueue("note")
            await site.happens("ran")
    assert await site.events(job_id, worker="healthy") == ["begun", "ended"]
    assert await site.events(job_id, worker="frozen") == ["begun", "stopped"]


async def test_a_frozen_worker_cannot_write_the_outcome_of_a_job_taken_over(site: EngineSite) -> None:
    # It would learn that it was replaced by its heartbeat or by looking for jobs: the one is far off here, and for
    # the other it has no slot free.
    async with site.process("frozen", heartbeat=20, stalled=60, shutdown=60, concurrency=1) as frozen:
        job_id = await site.enqueue("wait", gate="gate")
        await site.happens("begun", job_id)
        frozen.send_signal(signal.SIGSTOP)
        async with site.worker(name="healthy", heartbeat_seconds=0.1, stalled_seconds=60):
            assert await site.engine.rescue(["frozen"], site.connection) == [job_id]
            await site.happens("begun", job_id, worker="healthy")
            await site.open_gate("gate/frozen")
            frozen.send_signal(signal.SIGCONT)
            await site.happens("ended", job_id, worker="frozen")
            frozen.send_signal(signal.SIGTERM)
            assert await frozen.ends() == 0
            assert (await site.job(job_id)).state is JobState.PROCESSING
            await site.open_gate("gate/healthy")
            await site.reaches(job_id, JobState.SUCCEEDED)
    assert await site.events(job_id, worker="healthy") == ["begun", "ended"]


async def test_a_worker_survives_lost_connections_and_writes_the_outcome(site: EngineSite) -> None:
    async with site.process("worker", poll=60):
        job_id = await site.enqueue("wait", gate="gate")
        await site.happens("begun", job_id)
        assert await site.value(_TERMINATE) >= 3
        await site.open_gate()
        await site.reaches(job_id, JobState.SUCCEEDED)
        # Notifications come through again, too: nothing is found by polling here.
        for _ in range(3):
            await site.reaches(await site.enqueue("note"), JobState.SUCCEEDED)
    assert await site.events(job_id) == ["begun", "ended"]


async def test_jobs_run_once_while_connections_keep_breaking(site: EngineSite) -> None:
    async with site.worker(concurrency=5, poll_seconds=0.2):
        jobs = [await site.enqueue("later", times=1) for _ in range(40)]
        query = _TERMINATE + " AND application_name = 'bulkport worker'"

        async def all_ended() -> bool:
            await site.value(query)
            ended = "SELECT count(*) FROM bulkport.all_jobs WHERE state = 'succeeded'"
            return int(await site.value(ended)) == len(jobs)

        await eventually(all_ended, "all jobs succeeded")


async def test_a_worker_survives_a_temporarily_closed_database(site: EngineSite, server_url: str) -> None:
    name = await site.value("SELECT current_database()")
    async with (
        site.process("worker"),
        await psycopg.AsyncConnection.connect(server_url, autocommit=True) as operator,
    ):
        job_id = await site.enqueue("compute", seconds=0.6)
        await site.happens("begun", job_id)
        await operator.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        await site.value(_TERMINATE)
        # The task cannot write its own note while nobody gets in; it is tried again until somebody does.
        await asyncio.sleep(0.8)
        await operator.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        await site.reaches(job_id, JobState.SUCCEEDED)


async def test_a_worker_that_loses_its_lease_during_shutdown_stops_its_jobs(site: EngineSite) -> None:
    async with site.process("frozen", **HASTY, shutdown=120) as frozen:
        job_id = await site.enqueue("wait", gate="gate")
        await site.happens("begun", job_id)
        frozen.send_signal(signal.SIGTERM)
        frozen.send_signal(signal.SIGSTOP)
        async with site.process("healthy", **HASTY):
            await site.happens("begun", job_id, worker="healthy")
            frozen.send_signal(signal.SIGCONT)
            await site.happens("stopped", job_id, worker="frozen")
            assert await frozen.ends() == 0
            await site.open_gate()
            await site.reaches(job_id, JobState.SUCCEEDED)


async def test_sigterm_lets_a_running_job_finish_within_the_grace_period(site: EngineSite) -> None:
    async with site.process("worker") as worker:
        job_id = await site.enqueue("wait", gate="gate")
        await site.happens("begun", job_id)
        worker.send_signal(signal.SIGTERM)
        later = await site.enqueue("note")
        await site.open_gate()
        assert await worker.ends() == 0
    assert await site.events(job_id) == ["begun", "ended"]
    assert (await site.job(job_id)).state is JobState.SUCCEEDED
    assert (await site.job(later)).state in {JobState.ENQUEUED, JobState.SUCCEEDED}
    assert await site.servers() == []


async def test_sigterm_returns_jobs_that_outlast_the_grace_period(site: EngineSite) -> None:
    async with site.process("worker", shutdown=0.1) as worker:
        job_id = await site.enqueue("wait", gate="gate")
        await site.happens("begun", job_id)
        worker.send_signal(signal.SIGTERM)
        assert await worker.ends() == 0
    job = await site.job(job_id)
    assert (job.state, job.attempts, job.last_error) == (JobState.ENQUEUED, 0, None)
    assert await site.events(job_id) == ["begun", "stopped"]
    await site.open_gate()
    async with site.worker():
        assert (await site.reaches(job_id, JobState.SUCCEEDED)).attempts == 1


async def test_a_task_that_blocks_the_event_loop_is_not_declared_dead(site: EngineSite) -> None:
    async with site.process("busy", **HASTY):
        job_id = await site.enqueue("compute", seconds=2.5)
        await site.happens("begun", job_id)
        async with site.process("other", **HASTY):
            await site.reaches(job_id, JobState.SUCCEEDED)
            assert await site.servers() == ["busy", "other"]
    assert await site.events(job_id) == ["begun", "ended"]


async def test_a_job_whose_worker_row_was_deleted_is_rescued(site: EngineSite) -> None:
    async with site.process("worker", **HASTY):
        job_id = await site.enqueue("wait", gate="gate")
        await site.happens("begun", job_id)
        await site.connection.execute("DELETE FROM bulkport.servers")
        await site.happens("stopped", job_id)
        await site.happens("begun", job_id, times=2)
        await site.open_gate()
        await site.reaches(job_id, JobState.SUCCEEDED)
    assert await site.events(job_id) == ["begun", "stopped", "begun", "ended"]


async def test_a_claimed_job_that_never_reached_its_worker_is_requeued(site: EngineSite) -> None:
    async with site.worker(name="worker", heartbeat_seconds=0.1, stalled_seconds=5):
        # As if the answer to the claim had been lost with its connection.
        async with site.connection.transaction():
            job_id = await site.enqueue("note")
            await site.connection.execute(
                "UPDATE bulkport.jobs SET state = 'processing', worker_id ="
                " (SELECT worker_id FROM bulkport.servers WHERE name = 'worker') WHERE job_id = %s",
                (int(job_id),),
            )
        assert (await site.reaches(job_id, JobState.SUCCEEDED)).attempts == 1
    assert await site.events(job_id) == ["ran"]


async def test_a_job_requeued_while_it_runs_starts_again_after_its_run_stops(site: EngineSite) -> None:
    async with site.worker(name="worker", heartbeat_seconds=0.1, stalled_seconds=5):
        job_id = await site.enqueue("wait", gate="gate")
        await site.happens("begun", job_id)
        await site.connection.execute(
            "UPDATE bulkport.jobs SET state = 'enqueued', worker_id = NULL, runs = runs + 1 WHERE job_id = %s",
            (int(job_id),),
        )
        await site.enqueue("nothing")
        await site.happens("begun", job_id, times=2)
        await site.open_gate()
        await site.reaches(job_id, JobState.SUCCEEDED)
    assert await site.events(job_id) == ["begun", "stopped", "begun", "ended"]


async def test_a_restarted_worker_of_the_same_name_takes_over_the_lease(site: EngineSite) -> None:
    async with site.process("same", heartbeat=0.25, stalled=30) as first:
        job_id = await site.enqueue("wait", gate="gate")
        await site.happens("begun", job_id)
        os.kill(first.pid, signal.SIGKILL)
        await first.ends()
    await site.open_gate()
    async with site.process("same", heartbeat=0.25, stalled=30):
        await site.reaches(job_id, JobState.SUCCEEDED)
    assert await site.events(job_id) == ["begun", "begun", "ended"]


async def test_a_cancelled_worker_returns_its_jobs(site: EngineSite) -> None:
    async with site.worker(name="other", queues=["none"]):
        async with site.cancelled_worker() as cancel:
            job_id = await site.enqueue("wait", gate="gate")
            await site.happens("begun", job_id)
            await cancel()
        assert (await site.job(job_id)).state is JobState.ENQUEUED
        assert await site.events(job_id) == ["begun", "stopped"]
        assert await site.servers() == ["other"]
