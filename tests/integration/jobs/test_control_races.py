"""Orders while workers run the same jobs: nothing is lost, doubled, or left between two states."""

import asyncio
import random

from engine_site import EngineSite, open_batch, seal_batch
from flow_steps import be_consistent, become, enqueue, give, is_waiting, job, note, states
from hand_worker import hand_worker

from bulkport.identifiers import BackgroundJobId
from bulkport.jobs.port.control import Cancel, Change, Delete, Effect, Order, Requeue, Reschedule, RunNow
from bulkport.jobs.port.queueing import NewJob, Outcome, Parent
from bulkport.jobs.postgres.control import JobController
from bulkport.pools import open_pool

ORDERS: tuple[Order, ...] = (
    Cancel(),
    Delete(),
    Requeue(),
    RunNow(),
    Reschedule(delay=0.02),
    Change(priority=3),
    Change(queue="other", priority=1),
)


async def mixed_jobs(site: EngineSite, batch_id: int) -> list[BackgroundJobId]:
    """Jobs of every kind, hanging together in every way."""
    ids: list[BackgroundJobId] = []
    for number in range(12):
        key = f"k{number % 3}"
        made = await enqueue(
            site,
            note("ran", concurrency_key=key, concurrency_limit=1 + number % 2, batch_id=batch_id),
            job("fail", {"times": number % 3}, concurrency_key=key, concurrency_limit=1 + number % 2),
            job("nothing", {}, batch_id=batch_id),
            note("ran", delay=0.05 * (number % 4)),
            job("later", {"times": 1}, concurrency_key=key, concurrency_limit=1 + number % 2),
        )
        children = [
            NewJob("nothing", {}, concurrency_key=key, concurrency_limit=2, parents=(Parent(parent, on=outcome),))
            for parent, outcome in zip(made, (*Outcome, *Outcome), strict=False)
        ]
        ids += made + await enqueue(site, *children)
    return ids


async def test_random_commands_leave_everything_consistent(site: EngineSite) -> None:
    batch_id = await open_batch(site.connection)
    chance = random.Random(4)
    async with (
        open_pool(site.url, name="control", most=4) as pool,
        site.process("one", concurrency=10),
        site.process("two", concurrency=10),
    ):
        control = JobController(pool)
        ids = await mixed_jobs(site, batch_id)
        (after_batch,) = await enqueue(site, note(parents=(Parent(batch_id=batch_id, on=Outcome.FINISHED),)))

        async def operate() -> None:
            for _ in range(25):
                await control.order(chance.choice(ORDERS), chance.sample(ids, 12))

        await asyncio.gather(*(operate() for _ in range(4)))
        await seal_batch(site.connection, batch_id)
        await control.order(RunNow(), ids)
        await become(site, [after_batch], "succeeded")

        async def are_settled() -> bool:
            return set(await states(site, ids)) <= {"succeeded", "failed", "cancelled"}

        async with asyncio.timeout(60):
            while not await are_settled():
                await asyncio.sleep(0.05)
    # Repetitions may run on until the workers stop.
    await be_consistent(site)


async def test_a_concurrent_cancellation_and_claim_have_one_winner(site: EngineSite) -> None:
    async with open_pool(site.url, name="control", most=2) as pool, site.worker():
        control = JobController(pool)
        for _ in range(40):
            (job_id,) = await enqueue(site, note(text="ran"))
            (result,) = await control.order(Cancel(), [job_id])
            if result.effect is Effect.CANCELLED:
                assert await states(site, [job_id]) == ["cancelled"]
                assert await site.events(job_id) == []
        await be_consistent(site)


async def test_a_command_waits_for_a_run_that_is_ending_and_sees_its_outcome(site: EngineSite) -> None:
    (job_id,) = await enqueue(site, job("nothing", {}))
    async with hand_worker(site.url) as worker:
        assert await worker.claim() == job_id
        await worker.end(job_id)
        ordered = asyncio.create_task(give(site, Requeue(), job_id))
        assert await is_waiting(ordered)
        await worker.commit()
        assert await ordered == [Effect.REPEATED]
    await be_consistent(site)
