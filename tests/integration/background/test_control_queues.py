"""Pausing queues, and limits of queues over several workers."""

import os
import signal

import pytest
from engine_site import HASTY, EngineSite, eventually
from flow_steps import be_consistent, become, enqueue, gated, most_at_one_time, note, states

from bulkport.background import JobState
from bulkport.background.port.control import Cancel
from bulkport.background.procrastinate_engine.control import JobController

SELDOM = {"poll": 60.0}
"""A worker that hears of work by notification or not at all in this test."""


async def test_a_paused_queue_stands_still_and_others_go_on(site: EngineSite) -> None:
    control = JobController()
    async with site.worker(poll_seconds=60):
        (running,) = await enqueue(site, gated(queue="mail"))
        await become(site, [running], "running")
        await control.pause_queue("mail", actor="ada", connection=site.connection)
        await control.pause_queue("mail", actor="eve", connection=site.connection)
        mail, other = await enqueue(site, note(queue="mail"), note("other"))
        await site.reaches(other, JobState.SUCCEEDED)
        await site.open_gate()
        await site.reaches(running, JobState.SUCCEEDED)
        assert await states(site, [mail]) == ["enqueued"]
        assert await site.value("SELECT paused_by FROM background_queues WHERE name = 'mail'") == "ada"
        await control.resume_queue("mail", site.connection)
        await become(site, [mail], "succeeded", seconds=10)
    await be_consistent(site)


async def test_a_queue_may_be_paused_before_it_has_a_job(site: EngineSite) -> None:
    control = JobController()
    await control.pause_queue("later", connection=site.connection)
    (job_id,) = await enqueue(site, note(queue="later"))
    async with site.worker(queues=["later"]):
        (probe,) = await enqueue(site, note(queue="later", priority=9))
        await control.resume_queue("nobody's", site.connection)
        assert await states(site, [job_id, probe]) == ["enqueued", "enqueued"]
        await control.resume_queue("later", site.connection)
        await become(site, [job_id, probe], "succeeded", seconds=10)


@pytest.mark.parametrize("limit", [1, 3])
async def test_two_workers_keep_to_a_queues_limit_and_use_it(site: EngineSite, limit: int) -> None:
    await JobController().limit_queue("narrow", limit, site.connection)
    await site.open_gate()
    async with site.process("one", **SELDOM), site.process("two", **SELDOM):
        narrow = await enqueue(site, *(gated(queue="narrow") for _ in range(30)))
        wide = await enqueue(site, *(note("wide") for _ in range(30)))
        await become(site, [*narrow, *wide], "succeeded")
    assert await most_at_one_time(site, narrow) == limit
    await be_consistent(site)


async def test_a_limit_holds_for_what_runs_already_and_can_be_lifted(site: EngineSite) -> None:
    control = JobController()
    async with site.process("one", **SELDOM), site.process("two", **SELDOM):
        ids = await enqueue(site, *(gated(queue="narrow") for _ in range(2)))
        await become(site, ids, "running")
        await control.limit_queue("narrow", 3, site.connection)
        more = await enqueue(site, *(gated(queue="narrow") for _ in range(4)))
        (other,) = await enqueue(site, note())
        await site.reaches(other, JobState.SUCCEEDED)
        await become(site, [more[0]], "running", seconds=10)
        assert (await states(site, more)).count("running") == 1
        await control.limit_queue("narrow", None, site.connection)
        await become(site, more, "running", seconds=10)
        await site.open_gate()
        await become(site, [*ids, *more], "succeeded")
    await be_consistent(site)


async def test_room_in_a_limited_queue_is_given_to_an_idle_worker_at_once(site: EngineSite) -> None:
    await JobController().limit_queue("narrow", 1, site.connection)
    async with site.worker(queues=["narrow", "own"], concurrency=1, poll_seconds=60):
        first, second = await enqueue(site, gated(queue="narrow"), note(queue="narrow"))
        await become(site, [first], "running")
        # What the worker that makes the room does next, so that the room is left to the other one.
        (own,) = await enqueue(site, gated("never", queue="own", priority=9))
        async with site.worker(queues=["narrow"], poll_seconds=60):
            await site.open_gate()
            await become(site, [first, own, second], "succeeded", "running", "succeeded", seconds=10)
        await JobController().order(Cancel(), [own], site.connection)


async def test_a_killed_worker_gives_its_place_in_a_limited_queue_back(site: EngineSite) -> None:
    await JobController().limit_queue("narrow", 1, site.connection)
    async with site.process("one", **HASTY) as one:
        first, second = await enqueue(site, gated(queue="narrow"), note(queue="narrow"))
        await site.happens("begun", worker="one")
        os.kill(one.pid, signal.SIGKILL)
        async with site.process("two", **HASTY):
            await site.happens("begun", first, worker="two")
            await site.open_gate()
            await become(site, [first, second], "succeeded")
    await be_consistent(site)


async def test_a_limit_of_nothing_is_refused(site: EngineSite) -> None:
    with pytest.raises(ValueError, match="paused"):
        await JobController().limit_queue("mail", 0, site.connection)
    for name in ("", "x" * 129):
        with pytest.raises(ValueError, match="name"):
            await JobController().pause_queue(name, connection=site.connection)


async def test_a_caller_that_rolls_back_pauses_nothing(site: EngineSite) -> None:
    async with site.connection.transaction(force_rollback=True):
        await JobController().pause_queue("default", connection=site.connection)
    (job_id,) = await enqueue(site, note())

    async def is_done() -> bool:
        return await states(site, [job_id]) == ["succeeded"]

    async with site.worker():
        await eventually(is_done, "the job")
