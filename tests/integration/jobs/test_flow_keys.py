"""Concurrency keys: exactly the allowed number of jobs of a key run concurrently."""

import asyncio
import os
import signal

import psycopg
import pytest
from engine_site import HASTY, EngineSite, eventually
from flow_steps import be_consistent, become, enqueue, gated, give, job, most_at_one_time, note, states

from bulkport.identifiers import BackgroundJobId
from bulkport.jobs import JobState
from bulkport.jobs.port.control import Cancel, Change, Effect, Requeue
from bulkport.jobs.postgres import PostgresEngine
from bulkport.pools import open_pool


@pytest.mark.parametrize("limit", [1, 3])
async def test_two_workers_respect_and_exhaust_the_limit_of_a_key(site: EngineSite, limit: int) -> None:
    await site.open_gate()
    async with site.process("one"), site.process("two"):
        ids = await enqueue(site, *(gated(concurrency_key="k", concurrency_limit=limit) for _ in range(40)))
        await become(site, ids, "succeeded")
    assert await most_at_one_time(site, ids) == limit
    await be_consistent(site)


async def test_keys_do_not_block_each_other(site: EngineSite) -> None:
    async with site.worker():
        held = await enqueue(site, *(gated(concurrency_key="a") for _ in range(3)))
        await become(site, held, "running", "parked", "parked")
        (other,) = await enqueue(site, note(concurrency_key="b"))
        await site.reaches(other, JobState.SUCCEEDED)
        await site.open_gate()
        await become(site, held, "succeeded")
    await be_consistent(site)


async def test_a_job_is_shown_as_blocked_before_any_claim_has_seen_it(site: EngineSite) -> None:
    await site.engine.control.pause_queue("paused", connection=site.connection)
    async with site.worker():
        (holder,) = await enqueue(site, gated(concurrency_key="k"))
        await become(site, [holder], "running")
        unmet, other = await enqueue(
            site, note(concurrency_key="k", queue="paused"), note(concurrency_key="other", queue="paused")
        )
        assert await states(site, [unmet]) == ["enqueued"]
        assert await held_back(site, unmet, other) == [True, False]
        await site.open_gate()
        await become(site, [holder], "succeeded")
        assert await held_back(site, unmet, other) == [False, False]


async def held_back(site: EngineSite, *job_ids: BackgroundJobId) -> list[bool]:
    async with open_pool(site.url, name="reading", most=1) as pool:
        reader = PostgresEngine(pool).reader
        return [found.job.is_held_back for job_id in job_ids if (found := await reader.details(job_id))]


async def test_parked_jobs_start_by_priority_and_then_in_order(site: EngineSite) -> None:
    texts = {"b": 0, "c": 0, "a": 5, "d": -1}
    async with site.worker():
        (first,) = await enqueue(site, gated(concurrency_key="k"))
        await site.happens("begun", first)
        await enqueue(site, *(note(text, concurrency_key="k", priority=priority) for text, priority in texts.items()))
        await site.open_gate()
        await site.reaches(first, JobState.SUCCEEDED)
        await site.happens("d")
    assert await site.events() == ["begun", "ended", "a", "b", "c", "d"]


async def test_a_scheduled_job_occupies_no_slot(site: EngineSite) -> None:
    async with site.worker():
        (away,) = await enqueue(site, job("later", {"times": 1, "delay": 60}, concurrency_key="k"))
        await become(site, [away], "scheduled")
        (second,) = await enqueue(site, note(concurrency_key="k"))
        await site.reaches(second, JobState.SUCCEEDED)
    await be_consistent(site)


async def test_a_job_that_becomes_due_waits_for_a_slot(site: EngineSite) -> None:
    async with site.worker():
        (holder,) = await enqueue(site, gated(concurrency_key="k"))
        await become(site, [holder], "running")
        (due,) = await enqueue(site, note(concurrency_key="k", delay=0.1))
        await become(site, [due], "parked")
        await site.open_gate()
        await become(site, [holder, due], "succeeded")
    await be_consistent(site)


async def test_a_job_that_yields_lets_others_of_its_key_go_first(site: EngineSite) -> None:
    polite, other = await enqueue(
        site, job("later", {"times": 2, "lower": True}, concurrency_key="k"), note("other", concurrency_key="k")
    )
    async with site.worker():
        await become(site, [polite, other], "succeeded")
    assert await site.events() == ["priority 0", "other", "priority -1", "priority -2"]
    await be_consistent(site)


async def test_a_cancelled_job_frees_its_slot(site: EngineSite) -> None:
    async with site.worker():
        ids = await enqueue(site, *(gated(concurrency_key="k") for _ in range(3)))
        await become(site, ids, "running", "parked", "parked")
        assert await give(site, Cancel(), ids[0], ids[1]) == [Effect.ASKED_TO_STOP, Effect.CANCELLED]
        await become(site, ids, "cancelled", "cancelled", "running")
        assert await give(site, Requeue(), ids[1]) == [Effect.REQUEUED]
        await become(site, ids, "cancelled", "parked", "running")
        await site.open_gate()
        await become(site, ids[1:], "succeeded")
    await be_consistent(site)


async def test_a_job_with_a_new_limit_sets_it_for_waiting_jobs(site: EngineSite) -> None:
    async with site.worker(poll_seconds=0.1):
        ids = await enqueue(site, *(gated(concurrency_key="k") for _ in range(4)))
        await become(site, ids, "running", "parked", "parked", "parked")
        ids += await enqueue(site, gated(concurrency_key="k", concurrency_limit=3))

        async def three_run() -> bool:
            return sorted(await states(site, ids)) == ["parked"] * 2 + ["running"] * 3

        await eventually(three_run, "the new limit holds")
        await site.open_gate()
        await become(site, ids, "succeeded")
    await be_consistent(site)


async def test_a_rolled_back_job_takes_no_slot(site: EngineSite) -> None:
    async with site.connection.transaction(force_rollback=True):
        await enqueue(site, note(concurrency_key="k"))
    (job_id,) = await enqueue(site, note(concurrency_key="k"))
    assert await states(site, [job_id]) == ["enqueued"]
    await be_consistent(site)


async def test_a_killed_workers_job_keeps_its_slot_until_it_has_ended(site: EngineSite) -> None:
    async with site.process("one", **HASTY) as one:
        (held,) = await enqueue(site, gated(concurrency_key="k"))
        await site.happens("begun", worker="one")
        waiting = await enqueue(site, *(gated(concurrency_key="k") for _ in range(2)))
        os.kill(one.pid, signal.SIGKILL)
        async with site.process("two", **HASTY):
            await site.happens("begun", held, worker="two")
            assert await states(site, waiting) == ["parked", "parked"]
            await site.open_gate()
            await become(site, [held, *waiting], "succeeded")
    await be_consistent(site)


async def test_a_job_of_a_long_transaction_delays_no_other_job_of_its_key(site: EngineSite) -> None:
    async with await psycopg.AsyncConnection.connect(site.url) as caller, site.worker():
        open_job = await site.engine.enqueue(caller, note(concurrency_key="k"))
        others = await enqueue(site, *(note(concurrency_key="k") for _ in range(3)))
        await become(site, others, "succeeded")
        await caller.commit()
        await site.reaches(open_job, JobState.SUCCEEDED)
    await be_consistent(site)


async def test_a_locked_parked_job_is_not_forgotten(site: EngineSite) -> None:
    holder, parked = await enqueue(site, gated(concurrency_key="k"), note(concurrency_key="k"))
    async with await psycopg.AsyncConnection.connect(site.url) as operator, site.worker():
        await site.happens("begun", holder)
        number = int(parked)
        await operator.execute("SELECT bulkport.hold(ARRAY[%s::bigint], 'cancel')", (number,))
        await site.open_gate()
        await become(site, [holder, parked], "succeeded", "parked")
        changing = asyncio.create_task(give(site, Change(priority=3), parked))
        await operator.commit()
        assert await changing == [Effect.CHANGED]
        await site.reaches(parked, JobState.SUCCEEDED)
    await be_consistent(site)
