"""A run that ends in a retry while another job has taken its unique key."""

import psycopg
import pytest
from engine_site import EngineSite
from flow_steps import be_consistent, enqueue, note, reasons, states
from hand_worker import hand_worker

from bulkport.jobs import JobState

AGAIN = {"retry": "retrying", "again": "enqueued", "handed_back": "enqueued", "lost": "enqueued"}
"""Outcomes after which a job is retried, and its delay."""


@pytest.mark.parametrize(("outcome", "state"), AGAIN.items(), ids=AGAIN)
async def test_a_job_that_waits_again_yields_its_unique_key_to_the_current_holder(
    site: EngineSite, outcome: str, state: str
) -> None:
    (first,) = await enqueue(site, note(unique_key="u"))
    async with hand_worker(site.url) as worker:
        assert await worker.claim() == first
        second, same = await enqueue(site, note(unique_key="u"), note(unique_key="u"))
        assert second == same != first
        # Retries have no wait here: `delay` is 0.
        assert await worker.end(first, outcome) == state
        await worker.commit()
    assert await states(site, [second]) == ["enqueued"]
    assert [reason for _, reason, _ in await reasons(site, first)] == ["another job waits under its unique key u"]
    async with site.worker():
        await site.reaches(first, JobState.SUCCEEDED)
        await site.reaches(second, JobState.SUCCEEDED)
    await be_consistent(site)


async def test_a_job_that_waits_again_keeps_its_unique_key_if_it_is_free(site: EngineSite) -> None:
    (first,) = await enqueue(site, note(unique_key="u"))
    async with hand_worker(site.url) as worker:
        await worker.claim()
        await worker.end(first, "handed_back")
        await worker.commit()
    (same,) = await enqueue(site, note(unique_key="u"))
    assert same == first


async def test_lost_jobs_are_rescued_even_if_one_of_them_lost_its_unique_key(site: EngineSite) -> None:
    lost = await enqueue(site, note(unique_key="u"), note(), note(unique_key="v"))
    async with hand_worker(site.url) as worker:
        assert [await worker.claim() for _ in lost] == lost
    await enqueue(site, note(unique_key="u"))
    await site.connection.execute("DELETE FROM bulkport.servers")
    await site.connection.execute("SELECT * FROM bulkport.rescue()")
    assert await states(site, lost) == ["enqueued"] * 3


async def test_an_open_transaction_with_a_unique_key_delays_only_that_job(site: EngineSite) -> None:
    keyed, other = await enqueue(site, note(unique_key="u"), note())
    async with (
        hand_worker(site.url) as worker,
        await psycopg.AsyncConnection.connect(site.url) as stranger,
    ):
        assert [await worker.claim() for _ in range(2)] == [keyed, other]
        await worker.connection.execute("SET statement_timeout = '20s'")
        (second,) = await site.engine.enqueue_many(stranger, [note(unique_key="u")])
        assert await worker.end(keyed, "retry") == "locked"
        await worker.commit()
        await site.connection.execute("DELETE FROM bulkport.servers")
        await site.connection.execute("SELECT * FROM bulkport.rescue()")
        assert await states(site, [keyed, other]) == ["running", "enqueued"]
        await stranger.rollback()
        await site.connection.execute("SELECT * FROM bulkport.rescue()")
        assert await states(site, [keyed]) == ["enqueued"]
    (third,) = await enqueue(site, note(unique_key="u"))
    assert third == keyed
    assert second.is_new
