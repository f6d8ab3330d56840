"""Orders for all jobs that a query finds."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from engine_site import EngineSite
from flow_steps import be_consistent, become, enqueue, gated, job, note, states

from bulkport.jobs import JobState
from bulkport.jobs.port.control import Cancel, Delete, Effect, Requeue
from bulkport.jobs.port.query import JobQuery
from bulkport.jobs.port.queueing import Outcome, Parent
from bulkport.jobs.postgres.control import JOBS_A_TRANSACTION, JobController
from bulkport.jobs.postgres.reading.reader import PostgresJobReader
from bulkport.pools import open_pool


@pytest.fixture
async def control(site: EngineSite) -> AsyncIterator[JobController]:
    async with open_pool(site.url, name="control", most=3) as pool:
        yield JobController(pool, PostgresJobReader(pool))


async def test_all_matching_jobs_are_moved_page_by_page(site: EngineSite, control: JobController) -> None:
    jobs = 2 * JOBS_A_TRANSACTION + 17
    await enqueue(site, *(job("nothing", {}, user_id="ada") for _ in range(jobs)), note(user_id="bob"))
    query = JobQuery(states={JobState.ENQUEUED}, user_id="ada")
    summary = await control.order_all(Cancel(), query)
    assert summary.effects == {Effect.CANCELLED: jobs}
    assert str(await control.order_all(Cancel(), query)) == "no jobs"
    assert str(await control.order_all(Delete(), JobQuery(user_id="ada"))) == f"{jobs} already deleted"
    assert str(await control.order_all(Requeue(), JobQuery(states={JobState.CANCELLED}))) == f"{jobs} requeued"
    await be_consistent(site)


async def test_a_summary_reports_what_could_not_be_done(site: EngineSite, control: JobController) -> None:
    async with site.worker(queues=["default"]):
        good, bad, running, _ = await enqueue(
            site, note(), job("fail", {"times": 99}), gated(), note(queue="idle", delay=60)
        )
        await become(site, [good, bad, running], "succeeded", "failed", "running")
        summary = await control.order_all(Requeue(), JobQuery())
        assert str(summary) == "1 requeued, 1 repeated, 1 already waiting, 1 already running"
        await site.open_gate()


async def test_a_whole_tree_of_waiting_jobs_is_cancelled_at_once(site: EngineSite, control: JobController) -> None:
    roots = await enqueue(site, *(note(concurrency_key=f"k{number % 7}") for number in range(60)))
    children = await enqueue(site, *(note(parents=(Parent(root),), concurrency_key="c") for root in roots))
    last = await enqueue(site, *(note(parents=(Parent(child, on=Outcome.FINISHED),)) for child in children))
    query = JobQuery(states={JobState.ENQUEUED, JobState.AWAITING})
    assert (await control.order_all(Cancel(), query)).effects == {Effect.CANCELLED: 180}
    assert set(await states(site, [*roots, *children, *last])) == {"cancelled"}
    await be_consistent(site)


async def test_concurrent_identical_bulk_operations_share_the_work(site: EngineSite, control: JobController) -> None:
    jobs = 3 * JOBS_A_TRANSACTION
    await enqueue(site, *(job("nothing", {}, concurrency_key=f"k{number % 3}") for number in range(jobs)))
    summaries = await asyncio.gather(
        *(control.order_all(order, JobQuery()) for order in (Cancel(), Cancel(), Delete()))
    )
    assert sum(summary.done for summary in summaries) == jobs
    await be_consistent(site)


async def test_without_a_reader_there_are_no_bulk_operations_by_query() -> None:
    with pytest.raises(RuntimeError, match="is not connected"):
        await JobController().order_all(Cancel(), JobQuery())
