"""Jobs that wait for other jobs."""

import asyncio
import os
import signal

import pytest
from engine_site import HASTY, EngineSite
from flow_steps import be_consistent, become, enqueue, gated, give, is_waiting, job, note, reasons, states
from hand_worker import hand_worker

from bulkport.identifiers import BackgroundJobId
from bulkport.jobs import JobState
from bulkport.jobs.errors import ParentNotFound
from bulkport.jobs.port.control import Cancel, Delete, Effect, Requeue
from bulkport.jobs.port.queueing import NewJob, Outcome, Parent


def after(*parents: BackgroundJobId, on: Outcome = Outcome.SUCCEEDED, text: str = "child", **options: object) -> NewJob:
    return note(text, parents=tuple(Parent(parent, on=on) for parent in parents), **options)


def failing() -> NewJob:
    return job("fail", {"times": 99})


@pytest.mark.parametrize("has_ended_before", [False, True])
async def test_each_outcome_starts_the_children_that_wait_for_it(site: EngineSite, has_ended_before: bool) -> None:
    good, bad, gone = await enqueue(site, note(), failing(), note(queue="nobody's"))
    children: list[BackgroundJobId] = []

    async def add_children() -> None:
        for parent in (good, bad, gone):
            children.extend(await enqueue(site, *(after(parent, on=on) for on in Outcome)))

    async with site.worker(queues=["default"]):
        if not has_ended_before:
            await add_children()
        await give(site, Cancel(), gone)
        await become(site, [good, bad, gone], "succeeded", "failed", "cancelled")
        if has_ended_before:
            await add_children()
        await become(
            site, children,
            "succeeded", "cancelled", "succeeded",
            "cancelled", "succeeded", "succeeded",
            "cancelled", "cancelled", "succeeded",
        )  # fmt: skip
    assert await reasons(site, children[0]) == [("enqueued", f"job {good} succeeded", None)]
    assert await reasons(site, children[1]) == [("cancelled", f"waited in vain: job {good} succeeded", None)]
    assert await reasons(site, children[8]) == [("enqueued", f"job {gone} cancelled", None)]
    await be_consistent(site)


async def test_a_chain_runs_in_order(site: EngineSite) -> None:
    chain = await enqueue(site, note("0"))
    for link in range(1, 6):
        chain += await enqueue(site, after(chain[-1], text=str(link)))
    async with site.worker():
        await site.reaches(chain[-1], JobState.SUCCEEDED)
    assert await site.events() == ["0", "1", "2", "3", "4", "5"]
    await be_consistent(site)


async def test_a_child_cancelled_for_its_parents_outcome_cancels_its_own_children(site: EngineSite) -> None:
    (root,) = await enqueue(site, failing())
    (child,) = await enqueue(site, after(root))
    grandchild, mourner = await enqueue(site, after(child), after(child, on=Outcome.FINISHED, text="mourner"))
    (last,) = await enqueue(site, after(grandchild, mourner, on=Outcome.FINISHED, text="last"))
    async with site.worker():
        await site.reaches(last, JobState.SUCCEEDED)
    assert await states(site, [child, grandchild, mourner]) == ["cancelled", "cancelled", "succeeded"]
    assert await reasons(site, grandchild) == [("cancelled", f"waited in vain: job {child} cancelled", None)]
    assert (await site.events())[-2:] == ["mourner", "last"]
    await be_consistent(site)


async def test_one_parent_with_the_wrong_outcome_cancels_the_child(site: EngineSite) -> None:
    waiting, bad = await enqueue(site, gated(), failing())
    (child,) = await enqueue(site, after(waiting, bad))
    async with site.worker():
        await site.reaches(child, JobState.CANCELLED)
        assert await states(site, [waiting]) == ["running"]
        await site.open_gate()
        await site.reaches(waiting, JobState.SUCCEEDED)
    assert await states(site, [child]) == ["cancelled"]
    await be_consistent(site)


async def test_a_job_cannot_wait_for_one_that_does_not_exist(site: EngineSite) -> None:
    with pytest.raises(ParentNotFound, match="job 4711"):
        await enqueue(site, after(BackgroundJobId("4711")))
    assert await site.value("SELECT count(*) FROM bulkport.all_jobs") == 0


async def test_a_cancelled_child_is_not_started(site: EngineSite) -> None:
    parent, other = await enqueue(site, gated(), note(queue="later"))
    child, grandchild = await enqueue(site, after(parent), after(other))
    (last,) = await enqueue(site, after(child, on=Outcome.FINISHED, text="last"))
    assert await give(site, Cancel(), child) == [Effect.CANCELLED]
    async with site.worker(queues=["default"]):
        await site.reaches(last, JobState.SUCCEEDED)
        await site.open_gate()
        await site.reaches(parent, JobState.SUCCEEDED)
    assert await states(site, [child, grandchild]) == ["cancelled", "awaiting"]
    assert await give(site, Delete(), other) == [Effect.DELETED]
    assert await states(site, [grandchild]) == ["cancelled"]
    await be_consistent(site)


async def test_rerunning_a_parent_does_not_restart_its_children(site: EngineSite) -> None:
    (parent,) = await enqueue(site, failing())
    (child,) = await enqueue(site, after(parent, on=Outcome.FINISHED))
    async with site.worker():
        await site.reaches(child, JobState.SUCCEEDED)
        tries = (await site.events(parent)).count("tried")
        assert await give(site, Requeue(), parent) == [Effect.REQUEUED]
        await site.happens("tried", parent, times=2 * tries)
        await become(site, [parent], "failed")
    assert await site.events(child) == ["child"]
    await be_consistent(site)


async def test_a_child_with_a_concurrency_key_waits_for_a_slot(site: EngineSite) -> None:
    holder, parent = await enqueue(site, gated(concurrency_key="k"), note())
    (child,) = await enqueue(site, after(parent, concurrency_key="k"))
    async with site.worker():
        await become(site, [holder, parent, child], "running", "succeeded", "parked")
        await site.open_gate()
        await site.reaches(child, JobState.SUCCEEDED)
    await be_consistent(site)


async def test_a_child_enqueued_while_its_parent_is_ending_is_started(site: EngineSite) -> None:
    (parent,) = await enqueue(site, note())
    (first,) = await enqueue(site, after(parent))
    async with hand_worker(site.url) as worker:
        assert await worker.claim() == parent
        await worker.end(parent)
        queueing = asyncio.create_task(enqueue(site, after(parent)))
        assert await is_waiting(queueing)
        await worker.commit()
        (second,) = await queueing
    assert await states(site, [first, second]) == ["enqueued", "enqueued"]
    await be_consistent(site)


async def test_a_parent_does_not_end_while_a_child_is_being_enqueued(site: EngineSite) -> None:
    (parent,) = await enqueue(site, note())
    async with hand_worker(site.url) as worker:
        assert await worker.claim() == parent
        async with site.connection.transaction():
            (child,) = await enqueue(site, after(parent))
            # It does not wait: its outcome is written later.
            assert await worker.end(parent) == "locked"
        assert await worker.end(parent) == "succeeded"
        await worker.commit()
    assert await states(site, [child]) == ["enqueued"]
    await be_consistent(site)


async def test_children_enqueued_while_their_parents_end_all_start(site: EngineSite) -> None:
    children: list[BackgroundJobId] = []
    async with site.worker():
        for _ in range(60):
            (parent,) = await enqueue(site, note("parent"))
            children += await enqueue(site, after(parent))
        await become(site, children, "succeeded")
    assert (await site.events()).count("child") == 60
    await be_consistent(site)


async def test_a_continuation_of_two_hundred_jobs_on_two_workers_starts_once(site: EngineSite) -> None:
    async with site.process("one", concurrency=20), site.process("two", concurrency=20):
        parents = await enqueue(site, *(note("parent") for _ in range(200)))
        (child,) = await enqueue(site, after(*parents))
        await site.reaches(child, JobState.SUCCEEDED)
        await become(site, parents, "succeeded")
    events = await site.events()
    assert events.count("parent") == 200
    assert events[-1] == "child"
    assert events.count("child") == 1
    await be_consistent(site)


async def test_a_worker_killed_between_a_jobs_end_and_its_childs_start_loses_nothing(site: EngineSite) -> None:
    await site.connection.execute("SELECT bulkport.pause_queue('after', NULL)")
    async with site.process("one", **HASTY) as one:
        (parent,) = await enqueue(site, note("parent"))
        (child,) = await enqueue(site, after(parent, queue="after"))
        await site.reaches(parent, JobState.SUCCEEDED)
        os.kill(one.pid, signal.SIGKILL)
        await one.ends()
    assert await states(site, [child]) == ["enqueued"]
    await site.connection.execute("SELECT bulkport.resume_queue('after')")
    async with site.process("two", **HASTY):
        await site.reaches(child, JobState.SUCCEEDED)
    assert await site.events() == ["parent", "child"]
    await be_consistent(site)


async def test_a_worker_killed_before_a_jobs_end_does_not_start_the_child(site: EngineSite) -> None:
    async with site.process("one", **HASTY) as one:
        (parent,) = await enqueue(site, gated())
        (child,) = await enqueue(site, after(parent))
        await site.happens("begun", worker="one")
        os.kill(one.pid, signal.SIGKILL)
        await one.ends()
        async with site.process("two", **HASTY):
            await site.happens("begun", worker="two")
            assert await states(site, [child]) == ["awaiting"]
            await site.open_gate()
            await site.reaches(child, JobState.SUCCEEDED)
    assert await site.events(child) == ["child"]
    await be_consistent(site)
