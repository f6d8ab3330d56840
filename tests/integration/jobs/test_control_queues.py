"""Pausing queues, and limits of queues over several workers."""

import math
import os
import signal

import pytest
from engine_site import HASTY, EngineSite, eventually
from flow_steps import be_consistent, become, enqueue, gated, most_at_one_time, note, states
from hand_worker import hand_worker

from bulkport.jobs import JobState
from bulkport.jobs.port.control import Cancel
from bulkport.jobs.postgres.control import JobController
from bulkport.jobs.postgres.reading.reader import PostgresJobReader
from bulkport.pools import open_pool

SELDOM = {"poll": 60.0}
"""A worker that hears of work by notification or not at all in this test."""


async def last_change(site: EngineSite, queue: str) -> tuple[str | None, int | None, bool]:
    """Who changed the queue last, its limit, and whether it is paused."""
    cursor = await site.connection.execute(
        "SELECT changed_by, concurrency_limit, paused_at IS NOT NULL FROM bulkport.queues"
        " WHERE name = %s AND changed_at IS NOT NULL",
        (queue,),
    )
    row = await cursor.fetchone()
    assert row is not None
    by, limit, is_paused = row
    return by, limit, is_paused


async def test_a_paused_queue_stops_and_others_continue(site: EngineSite) -> None:
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
        assert await site.value("SELECT paused_by FROM bulkport.queues WHERE name = 'mail'") == "ada"
        await control.resume_queue("mail", connection=site.connection)
        await become(site, [mail], "succeeded", seconds=10)
    await be_consistent(site)


async def test_a_paused_task_stops_in_every_queue_and_others_continue(site: EngineSite) -> None:
    control = JobController()
    async with site.worker(poll_seconds=60):
        (running,) = await enqueue(site, gated())
        await become(site, [running], "running")
        await control.pause_task("wait", actor="ada", note="the bank is down", connection=site.connection)
        await control.pause_task("wait", actor="eve", connection=site.connection)
        held = await enqueue(site, gated(), gated(queue="mail", priority=9))
        others = await enqueue(site, note(), note(queue="mail"))
        await become(site, others, "succeeded")
        await site.open_gate()
        await site.reaches(running, JobState.SUCCEEDED)
        assert await states(site, held) == ["enqueued", "enqueued"]
        async with open_pool(site.url, name="reader", most=1) as pool:
            reader = PostgresJobReader(pool)
            (paused,) = await reader.paused_tasks()
            assert (paused.task, paused.paused_by, paused.note) == ("wait", "ada", "the bank is down")
            assert {queue.name for queue in await reader.queues() if queue.paused_tasks == (paused,)} >= {"mail"}
        await control.resume_task("wait", connection=site.connection)
        await become(site, held, "succeeded")
    await be_consistent(site)


async def test_a_queue_can_be_paused_before_it_has_a_job(site: EngineSite) -> None:
    control = JobController()
    await control.pause_queue("later", connection=site.connection)
    (job_id,) = await enqueue(site, note(queue="later"))
    async with site.worker(queues=["later"]):
        (probe,) = await enqueue(site, note(queue="later", priority=9))
        await control.resume_queue("nobody's", connection=site.connection)
        assert await states(site, [job_id, probe]) == ["enqueued", "enqueued"]
        await control.resume_queue("later", connection=site.connection)
        await become(site, [job_id, probe], "succeeded", seconds=10)


@pytest.mark.parametrize("limit", [1, 3])
async def test_two_workers_respect_and_exhaust_a_queues_limit(site: EngineSite, limit: int) -> None:
    await JobController().limit_queue("narrow", limit, connection=site.connection)
    await site.open_gate()
    async with site.process("one", **SELDOM), site.process("two", **SELDOM):
        narrow = await enqueue(site, *(gated(queue="narrow") for _ in range(30)))
        wide = await enqueue(site, *(note("wide") for _ in range(30)))
        await become(site, [*narrow, *wide], "succeeded")
    assert await most_at_one_time(site, narrow) == limit
    await be_consistent(site)


async def test_a_limit_counts_running_jobs_and_can_be_removed(site: EngineSite) -> None:
    control = JobController()
    async with site.process("one", **SELDOM), site.process("two", **SELDOM):
        ids = await enqueue(site, *(gated(queue="narrow") for _ in range(2)))
        await become(site, ids, "running")
        await control.limit_queue("narrow", 3, connection=site.connection)
        more = await enqueue(site, *(gated(queue="narrow") for _ in range(4)))
        (other,) = await enqueue(site, note())
        await site.reaches(other, JobState.SUCCEEDED)

        async def one_more_runs() -> bool:
            # The first, unless the other worker just looked at it.
            return (await states(site, more)).count("running") == 1

        await eventually(one_more_runs, "one more job runs", 10)
        await control.limit_queue("narrow", None, connection=site.connection)
        await become(site, more, "running", seconds=10)
        await site.open_gate()
        await become(site, [*ids, *more], "succeeded")
    await be_consistent(site)


async def test_a_free_slot_of_a_limited_queue_goes_to_an_idle_worker_at_once(site: EngineSite) -> None:
    await JobController().limit_queue("narrow", 1, connection=site.connection)
    async with site.worker(queues=["narrow", "own"], concurrency=1, poll_seconds=60):
        first, second = await enqueue(site, gated(queue="narrow"), note(queue="narrow"))
        await become(site, [first], "running")
        # What the worker that makes the room does next, so that the room is left to the other one.
        (own,) = await enqueue(site, gated("never", queue="own", priority=9))
        async with site.worker(queues=["narrow"], poll_seconds=60):
            await site.open_gate()
            await become(site, [first, own, second], "succeeded", "running", "succeeded", seconds=10)
        await JobController().order(Cancel(), [own], site.connection)


async def test_a_killed_worker_frees_its_slot_in_a_limited_queue(site: EngineSite) -> None:
    await JobController().limit_queue("narrow", 1, connection=site.connection)
    async with site.process("one", **HASTY) as one:
        first, second = await enqueue(site, gated(queue="narrow"), note(queue="narrow"))
        await site.happens("begun", worker="one")
        os.kill(one.pid, signal.SIGKILL)
        async with site.process("two", **HASTY):
            await site.happens("begun", first, worker="two")
            await site.open_gate()
            await become(site, [first, second], "succeeded")
    await be_consistent(site)


async def test_a_limit_of_zero_is_rejected(site: EngineSite) -> None:
    with pytest.raises(ValueError, match="paused"):
        await JobController().limit_queue("mail", 0, connection=site.connection)
    for weight in (0, -1, math.nan, 1_001):
        with pytest.raises(ValueError, match="weight"):
            await JobController().weigh_queue("mail", weight, connection=site.connection)
    for name in ("", "x" * 129):
        with pytest.raises(ValueError, match="name"):
            await JobController().pause_queue(name, connection=site.connection)


async def test_a_rolled_back_pause_has_no_effect(site: EngineSite) -> None:
    async with site.connection.transaction(force_rollback=True):
        await JobController().pause_queue("default", connection=site.connection)
    (job_id,) = await enqueue(site, note())

    async def is_done() -> bool:
        return await states(site, [job_id]) == ["succeeded"]

    async with site.worker():
        await eventually(is_done, "the job")


async def test_the_user_who_last_changed_a_queue_is_recorded(site: EngineSite) -> None:
    control = JobController()
    await control.pause_queue("mail", actor="ada", connection=site.connection)
    assert await last_change(site, "mail") == ("ada", None, True)
    await control.limit_queue("mail", 3, connection=site.connection, actor="bob")
    assert await last_change(site, "mail") == ("bob", 3, True)
    await control.resume_queue("mail", connection=site.connection, actor="cleo\0")
    assert await last_change(site, "mail") == ("cleo\ufffd", 3, False)
    # What changes nothing is nobody's change.
    await control.resume_queue("mail", connection=site.connection, actor="eve")
    await control.limit_queue("mail", 3, connection=site.connection, actor="eve")
    assert await last_change(site, "mail") == ("cleo\ufffd", 3, False)
    await control.limit_queue("mail", None, connection=site.connection)
    assert await last_change(site, "mail") == (None, None, False)

    async with open_pool(site.url, name="reading", most=1) as pool:
        (queue,) = [queue for queue in await PostgresJobReader(pool).queues() if queue.name == "mail"]
    assert queue.changed_at is not None
    assert queue.changed_by is None


@pytest.mark.parametrize("queues", [None, ["narrow"]])
async def test_two_concurrent_claims_do_not_both_take_the_last_slot(site: EngineSite, queues: list[str] | None) -> None:
    await JobController().limit_queue("narrow", 1, connection=site.connection)
    first, second = await enqueue(site, note(queue="narrow"), note(queue="narrow"))
    async with hand_worker(site.url) as one, hand_worker(site.url) as other:
        assert await one.claim(queues, commit=False) == first
        # It does not wait for the other claim, but leaves the queue to it.
        assert await other.claim(queues) is None
        await one.commit()
        assert await other.claim(queues) is None
        await one.end(first)
        await one.commit()
        assert await other.claim(queues) == second


async def test_a_limit_set_during_a_claim_counts_the_claimed_jobs(site: EngineSite) -> None:
    await JobController().limit_queue("narrow", 2, connection=site.connection)
    await enqueue(site, *(note(queue="narrow") for _ in range(3)))
    async with hand_worker(site.url) as one, hand_worker(site.url) as other:
        assert await one.claim(commit=False) is not None
        await JobController().limit_queue("narrow", 1, connection=site.connection)
        await one.commit()
        assert await other.claim() is None
