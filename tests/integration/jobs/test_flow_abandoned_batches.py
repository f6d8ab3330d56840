"""A batch that is never sealed, because its maker died, does not stay open for ever."""

import asyncio
from datetime import timedelta

import pytest
from engine_site import EngineSite, open_batch, seal_batch
from flow_steps import be_consistent, become, enqueue, note, reasons, states

from bulkport.jobs.errors import BatchClosed
from bulkport.jobs.port.details import BatchStatus
from bulkport.jobs.port.engine import RetentionPolicy
from bulkport.jobs.port.queueing import NewJob, Outcome, Parent
from bulkport.jobs.postgres.connection import WorkerConnection
from bulkport.jobs.postgres.maintenance import ABANDONED_AFTER, prune_chore
from bulkport.jobs.postgres.reading.reader import PostgresJobReader
from bulkport.pools import open_pool

LONG_AGO = ABANDONED_AFTER + timedelta(minutes=1)


def after(batch_id: int, on: Outcome) -> NewJob:
    return note(parents=(Parent(batch_id=batch_id, on=on),))


async def make_old(site: EngineSite, batch_id: int, *, jobs: bool = True) -> None:
    for table in ("job_batches", "jobs", "finished_jobs") if jobs else ("job_batches",):
        await site.connection.execute(
            f"UPDATE bulkport.{table} SET created_at = created_at - %s WHERE batch_id = %s", (LONG_AGO, batch_id)
        )


async def prune(site: EngineSite) -> None:
    link = WorkerConnection(site.url, asyncio.Event())
    await prune_chore(link, RetentionPolicy()).run()
    await link.close()


async def status(site: EngineSite, batch_id: int) -> BatchStatus:
    async with open_pool(site.url, name="reading", most=1) as pool:
        found = await PostgresJobReader(pool).batch(batch_id)
    assert found is not None
    return found


async def test_a_batch_left_open_is_closed_and_fails(site: EngineSite) -> None:
    batch_id = await open_batch(site.connection)
    (member,) = await enqueue(site, note(batch_id=batch_id))
    waiting = await enqueue(site, *(after(batch_id, on) for on in Outcome))
    async with site.worker():
        await become(site, [member], "succeeded")
    await make_old(site, batch_id)
    await prune(site)

    found = await status(site, batch_id)
    assert found.is_abandoned
    assert found.is_sealed
    assert found.finished_at is not None
    ends = dict(zip(Outcome, await states(site, waiting), strict=True))
    assert ends == {Outcome.SUCCEEDED: "cancelled", Outcome.FAILED: "enqueued", Outcome.FINISHED: "enqueued"}
    assert await reasons(site, waiting[0]) == [("cancelled", f"waited in vain: batch {batch_id} failed", None)]
    assert await states(site, await enqueue(site, after(batch_id, Outcome.SUCCEEDED))) == ["cancelled"]
    with pytest.raises(BatchClosed):
        await enqueue(site, note(batch_id=batch_id))
    await be_consistent(site)


async def test_an_abandoned_batch_ends_with_its_last_job(site: EngineSite) -> None:
    batch_id = await open_batch(site.connection)
    (member,) = await enqueue(site, note(batch_id=batch_id))
    (child,) = await enqueue(site, after(batch_id, Outcome.FINISHED))
    await make_old(site, batch_id)
    await prune(site)
    assert (await status(site, batch_id)).finished_at is None
    async with site.worker():
        await become(site, [member, child], "succeeded")
    assert (await status(site, batch_id)).finished_at is not None


async def test_a_growing_or_sealed_batch_is_left_alone(site: EngineSite) -> None:
    young, growing, sealed = [await open_batch(site.connection) for _ in range(3)]
    await enqueue(site, *(note(batch_id=batch_id) for batch_id in (growing, sealed)))
    await seal_batch(site.connection, sealed)
    await make_old(site, growing, jobs=False)
    await make_old(site, sealed)
    await prune(site)
    for batch_id in (young, growing, sealed):
        found = await status(site, batch_id)
        assert not found.is_abandoned
        assert found.is_sealed is (batch_id == sealed)
        assert found.finished_at is None


async def test_a_job_added_meanwhile_keeps_a_batch_open(site: EngineSite) -> None:
    batch_id = await open_batch(site.connection)
    await make_old(site, batch_id)
    async with site.connection.transaction():
        await enqueue(site, note(batch_id=batch_id))
        await prune(site)
    assert not (await status(site, batch_id)).is_sealed
