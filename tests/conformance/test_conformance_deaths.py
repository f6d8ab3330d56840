"""Servers that are killed, stopped or starved: their jobs run elsewhere, and no continuation is lost or doubled."""

import asyncio
import random
import signal
from contextlib import ExitStack

from conformance_site import HASTY, ConformanceSite, ServerProcess

from bulkport.jobs import JobState
from bulkport.jobs.port.details import RunOutcome


async def test_jobs_of_a_killed_server_run_again_within_30_seconds_by_default(site: ConformanceSite) -> None:
    """Without any intervention, with default settings. The same holds for a suspended server."""
    with site.server("killed", concurrency=2) as killed:
        lost = [await site.jobs.enqueue(site.tasks.stay, "thirty") for _ in range(2)]
        await site.happens("begun", *lost, times=2)
        with site.server("stopped", concurrency=2) as stopped:
            stuck = [await site.jobs.enqueue(site.tasks.stay, "thirty") for _ in range(2)]
            await site.happens("begun", *stuck, times=2)
            with site.server("alive"):
                await site.serving("alive")
                killed.kill()
                stopped.send(signal.SIGSTOP)
                async with asyncio.timeout(60):
                    await site.happens("begun", *lost, *stuck, times=8)
                names = {server.name for server in await site.jobs.servers()}
                assert "killed" not in names
                site.diary.open_gate("thirty")
                for job_id in [*lost, *stuck]:
                    job = await site.succeeds(job_id)
                    assert job.attempts == 1
                    runs = (await site.details(job_id)).runs
                    assert [run.outcome for run in runs] == [RunOutcome.LOST, RunOutcome.SUCCEEDED]
                    assert [run.server for run in runs] == ["killed" if job_id in lost else "stopped", "alive"]
                # Woken up, it finds that its jobs are not its own any more, and serves on.
                stopped.send(signal.SIGCONT)
                await site.serving("stopped")
    for job_id in [*lost, *stuck]:
        assert (await site.job(job_id)).state is JobState.SUCCEEDED
        assert len((await site.details(job_id)).runs) == 2


async def test_a_continuation_starts_exactly_once_whatever_crashes(site: ConformanceSite) -> None:
    """Servers that run parents are killed repeatedly; continuations run on one that is not."""
    chance = random.Random(4)
    parents, children = [], []
    for number in range(48):
        call = site.tasks.work.options(queue="doomed").call(0.005 * (number % 4))
        parent = await site.jobs.enqueue(call)
        parents.append(parent)
        after = site.tasks.work.options(queue="safe").call()
        children += [
            await site.jobs.continue_with(parent, after),
            await site.jobs.continue_with(parent, after, on="finished"),
        ]
    fan_in = await site.jobs.continue_with(parents, site.tasks.work.options(queue="safe").call())

    doomed = {"queues": ["doomed"], "concurrency": 2, **HASTY}
    with site.server("safe", queues=["safe"], **HASTY), ExitStack() as stack:
        for life in range(3):
            server: ServerProcess = stack.enter_context(site.server(f"doomed {life}", **doomed))
            await site.happens("ended", *parents, times=10 * (life + 1))
            await asyncio.sleep(0.02 * chance.random())
            server.kill()
        stack.enter_context(site.server("last", **doomed))
        for job_id in [*parents, *children, fan_in]:
            await site.succeeds(job_id)
    for job_id in [*children, fan_in]:
        assert site.diary.events(job_id) == ["begun", "ended"]


async def test_a_restarted_server_of_the_same_name_leaves_no_job_stuck_running(site: ConformanceSite) -> None:
    for life in range(3):
        with site.server("phoenix", **HASTY) as server:
            if life == 0:
                job_id = await site.jobs.enqueue(site.tasks.stay, "phoenix")
            await site.happens("begun", job_id, times=life + 1)
            server.kill()
    assert (await site.job(job_id)).state is JobState.PROCESSING
    site.diary.open_gate("phoenix")
    with site.server("phoenix", **HASTY):
        await site.succeeds(job_id)
    assert site.diary.events(job_id) == ["begun"] * 4 + ["ended"]


async def test_a_supervisor_that_saw_a_server_die_need_not_wait(site: ConformanceSite) -> None:
    port = site.engine.port()
    with site.server("seen"), site.server("heir"):
        await site.serving("seen", "heir")
        ids = [await site.jobs.enqueue(site.tasks.stay, "seen") for _ in range(20)]
        await site.happens("begun", *ids, times=20)
    lost = [note.job_id for note in site.diary.notes(*ids) if note.server in {"seen", "heir"}]
    assert await port.rescue(["nobody"], site.connection) == []
    rescued = await port.rescue(["seen", "heir"], site.connection)
    assert sorted(rescued) == sorted(lost)
    assert not {"seen", "heir"} & {server.name for server in await site.jobs.servers()}
    site.diary.open_gate("seen")
    with site.server("next"):
        for one in ids:
            await site.succeeds(one)


async def test_a_server_that_was_suspended_overwrites_nothing_when_it_resumes(site: ConformanceSite) -> None:
    """Its job was started elsewhere meanwhile: only the run there counts, and the sleeper is cancelled."""
    with site.server("sleeper", **HASTY) as sleeper:
        job_id = await site.jobs.enqueue(site.tasks.stay, "sleeper")
        await site.happens("begun", job_id)
        sleeper.send(signal.SIGSTOP)
        with site.server("other", **HASTY):
            await site.happens("begun", job_id, times=2)
            sleeper.send(signal.SIGCONT)
            await site.happens("stopped", job_id)
            await site.serving("sleeper", "other")
            assert (await site.job(job_id)).state is JobState.PROCESSING
            site.diary.open_gate("sleeper")
            assert (await site.succeeds(job_id)).attempts == 1
            # Both serve on.
            ids = [await site.jobs.enqueue(site.tasks.work, 0.01) for _ in range(10)]
            for other in ids:
                await site.succeeds(other)
    assert site.diary.events(job_id).count("ended") == 1
    assert [note.server for note in site.diary.notes(job_id, event="ended")] == ["other"]


async def test_a_task_that_blocks_the_event_loop_keeps_its_job_and_is_reported(site: ConformanceSite) -> None:
    """The heartbeat continues although the event loop is blocked for longer than the heartbeat timeout."""
    watchful = {"blocked_seconds": 2.0, **HASTY}  # a busy machine holds a loop up for shorter
    with site.server("computing", **watchful) as computing, site.server("idle", **watchful) as idle:
        await site.serving("computing", "idle")
        seconds = 2.5 * HASTY["stalled_seconds"]
        ids = [await site.jobs.enqueue(site.tasks.compute, seconds) for _ in range(2)]
        for job_id in ids:
            await site.succeeds(job_id)
            assert site.diary.events(job_id) == ["begun", "ended"]
            reports = [*computing.said("error", job_id), *idle.said("error", job_id)]
            assert [report["task"] for report in reports] == ["compute"]
            assert "conformance_tasks.py" in reports[0]["stack"]


async def test_a_job_that_kills_its_servers_fails_and_does_not_harm_others(site: ConformanceSite) -> None:
    deadly = await site.jobs.enqueue(site.tasks.die)
    names = [f"victim {number}" for number in range(3)]
    others = []
    for name in names:
        with site.server(name, **HASTY) as server:
            others.append(await site.jobs.enqueue(site.tasks.work))
            if name != names[-1]:
                assert await server.ends() == -signal.SIGKILL
                continue
            job = await site.ended(deadly)
            for other in others:
                await site.succeeds(other)
            assert server.said("error", deadly)
    assert job.state is JobState.FAILED
    assert job.last_error is not None
    assert "died" in job.last_error
    assert site.diary.events(deadly) == ["begun", "begun", "settled WorkerDied"]
    runs = (await site.details(deadly)).runs
    assert [run.outcome for run in runs] == [RunOutcome.LOST, RunOutcome.LOST, RunOutcome.FAILED]
