"""Batches of jobs and their continuations."""

import asyncio
import os
import signal

import pytest
from engine_site import HASTY, EngineSite, eventually, open_batch, seal_batch
from flow_steps import be_consistent, become, enqueue, gated, give, job, note, reasons, states
from hand_worker import hand_worker

from bulkport.jobs import JobState
from bulkport.jobs.errors import BatchClosed, ParentNotFound
from bulkport.jobs.port.control import Cancel, Effect, Requeue
from bulkport.jobs.port.queueing import NewJob, Outcome, Parent


def after(batch_id: int, on: Outcome = Outcome.SUCCEEDED, text: str = "child") -> NewJob:
    return note(text, parents=(Parent(batch_id=batch_id, on=on),))


async def has_ended(site: EngineSite, batch_id: int) -> bool:
    ended = await site.value("SELECT finished_at IS NOT NULL FROM bulkport.job_batches WHERE batch_id = %s", batch_id)
    return bool(ended)


async def test_a_sealed_batch_ends_with_its_last_job(site: EngineSite) -> None:
    batch_id = await open_batch(site.connection, "July", "ada")
    (child,) = await enqueue(site, after(batch_id))
    async with site.worker():
        jobs = await enqueue(site, note(batch_id=batch_id), gated(batch_id=batch_id))
        await become(site, jobs, "succeeded", "running")
        jobs += await enqueue(site, note(batch_id=batch_id))
        await become(site, jobs, "succeeded", "running", "succeeded")
        assert await seal_batch(site.connection, batch_id)
        assert not await has_ended(site, batch_id)
        await site.open_gate()
        await site.reaches(child, JobState.SUCCEEDED)
    assert await has_ended(site, batch_id)
    assert await reasons(site, child) == [("enqueued", f"batch {batch_id} succeeded", None)]
    assert (await site.events(child)) == ["child"]
    await be_consistent(site)


async def test_a_batch_whose_jobs_have_all_ended_ends_when_it_is_sealed(site: EngineSite) -> None:
    batch_id = await open_batch(site.connection)
    jobs = await enqueue(site, note(batch_id=batch_id))
    (child,) = await enqueue(site, after(batch_id))
    async with site.worker():
        await become(site, jobs, "succeeded")
        assert await states(site, [child]) == ["awaiting"]
        await seal_batch(site.connection, batch_id)
        await site.reaches(child, JobState.SUCCEEDED)
    await be_consistent(site)


async def test_an_empty_batch_succeeds_when_it_is_sealed(site: EngineSite) -> None:
    batch_id = await open_batch(site.connection)
    before = await enqueue(site, *(after(batch_id, on) for on in Outcome))
    assert await seal_batch(site.connection, batch_id)
    assert await seal_batch(site.connection, batch_id)
    afterwards = await enqueue(site, *(after(batch_id, on) for on in Outcome))
    for children in (before, afterwards):
        assert await states(site, children) == ["enqueued", "cancelled", "enqueued"]
    assert not await seal_batch(site.connection, 4711)
    await be_consistent(site)


@pytest.mark.parametrize("end", ["failed", "cancelled"])
async def test_a_batch_with_an_unsuccessful_job_fails(site: EngineSite, end: str) -> None:
    batch_id = await open_batch(site.connection)
    good, bad = await enqueue(site, note(batch_id=batch_id), job("fail", {"times": 99}, batch_id=batch_id))
    children = await enqueue(site, *(after(batch_id, on) for on in Outcome))
    await seal_batch(site.connection, batch_id)
    if end == "cancelled":
        assert await give(site, Cancel(), bad) == [Effect.CANCELLED]
    async with site.worker():
        await become(site, [good, bad, *children], "succeeded", end, "cancelled", "succeeded", "succeeded")
    assert await reasons(site, children[0]) == [("cancelled", f"waited in vain: batch {batch_id} failed", None)]
    await be_consistent(site)


async def test_a_job_requeued_before_its_batch_ends_counts_again(site: EngineSite) -> None:
    batch_id = await open_batch(site.connection)
    cancelled, held = await enqueue(site, note(batch_id=batch_id), gated(batch_id=batch_id))
    (child,) = await enqueue(site, after(batch_id))
    await seal_batch(site.connection, batch_id)
    await give(site, Cancel(), cancelled)
    assert await give(site, Requeue(), cancelled) == [Effect.REQUEUED]
    await be_consistent(site)
    await site.open_gate()
    async with site.worker():
        await become(site, [cancelled, held, child], "succeeded")
    assert await give(site, Requeue(), cancelled) == [Effect.REPEATED]
    await be_consistent(site)


async def test_a_sealed_batch_accepts_no_more_jobs(site: EngineSite) -> None:
    batch_id = await open_batch(site.connection)
    await seal_batch(site.connection, batch_id)
    with pytest.raises(BatchClosed, match=f"batch {batch_id}"):
        await enqueue(site, note(batch_id=batch_id))
    with pytest.raises(ParentNotFound, match="batch 4711"):
        await enqueue(site, note(batch_id=4711))
    with pytest.raises(ParentNotFound, match="batch 4711"):
        await enqueue(site, after(4711))
    assert await site.value("SELECT count(*) FROM bulkport.all_jobs") == 0


async def test_a_batch_whose_last_two_jobs_end_concurrently_ends(site: EngineSite) -> None:
    batch_id = await open_batch(site.connection)
    jobs = await enqueue(site, note(batch_id=batch_id), note(batch_id=batch_id))
    (child,) = await enqueue(site, after(batch_id))
    await seal_batch(site.connection, batch_id)
    async with hand_worker(site.url) as one, hand_worker(site.url) as two:
        assert [await one.claim(), await two.claim()] == jobs
        await one.end(jobs[0])
        await two.end(jobs[1])
        await one.commit()
        await two.commit()
    await site.connection.execute("SELECT bulkport.settle_left()")
    assert await states(site, [child]) == ["enqueued"]
    await be_consistent(site)


async def test_a_batch_sealed_while_its_last_job_is_ending_ends(site: EngineSite) -> None:
    batch_id = await open_batch(site.connection)
    (last,) = await enqueue(site, note(batch_id=batch_id))
    (child,) = await enqueue(site, after(batch_id))
    async with hand_worker(site.url) as worker:
        assert await worker.claim() == last
        await worker.end(last)
        assert await seal_batch(site.connection, batch_id)
        assert await states(site, [child]) == ["awaiting"]
        await worker.commit()
    await site.connection.execute("SELECT bulkport.settle_left()")
    assert await states(site, [child]) == ["enqueued"]
    await be_consistent(site)


async def test_jobs_of_a_batch_that_end_concurrently_do_not_wait_for_each_other(site: EngineSite) -> None:
    batch_id = await open_batch(site.connection)
    jobs = await enqueue(site, *(note(batch_id=batch_id) for _ in range(40)))
    await seal_batch(site.connection, batch_id)
    async with hand_worker(site.url) as one, hand_worker(site.url) as two:
        assert [await one.claim(), await two.claim()] == jobs[:2]
        await one.end(jobs[0])
        await asyncio.wait_for(two.end(jobs[1]), 60)
        await one.commit()
        await two.commit()
    await be_consistent(site)


async def test_jobs_that_end_concurrently_end_their_batch(site: EngineSite) -> None:
    batch_id = await open_batch(site.connection)
    jobs = await enqueue(site, *(gated(batch_id=batch_id) for _ in range(24)))
    (child,) = await enqueue(site, after(batch_id))
    await seal_batch(site.connection, batch_id)
    async with site.process("one", concurrency=12), site.process("two", concurrency=12):
        await become(site, jobs, "running")
        await site.open_gate()
        await site.reaches(child, JobState.SUCCEEDED)
    assert (await site.events()).count("child") == 1
    await be_consistent(site)


async def test_two_thousand_jobs_survive_a_killed_worker_and_start_their_continuation_once(site: EngineSite) -> None:
    async with site.connection.transaction():
        batch_id = await open_batch(site.connection)
        await enqueue(site, *(job("nothing", {}, batch_id=batch_id) for _ in range(2000)))
        (child,) = await enqueue(site, after(batch_id))
        await seal_batch(site.connection, batch_id)

    async def are_some_done() -> bool:
        done = await site.value("SELECT count(*) FROM bulkport.all_jobs WHERE state = 'succeeded'")
        return bool(done >= 300)

    async with site.process("one", concurrency=20, **HASTY) as one, site.process("two", concurrency=20, **HASTY):
        await eventually(are_some_done, "300 jobs")
        os.kill(one.pid, signal.SIGKILL)
        await site.reaches(child, JobState.SUCCEEDED)
    assert await site.value("SELECT count(*) FROM bulkport.all_jobs WHERE state = 'succeeded'") == 2001
    assert await site.events(child) == ["child"]
    await be_consistent(site)
