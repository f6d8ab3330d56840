"""Times that the database's clock wrote while it ran a year fast, and which hold nothing up once it is right."""

from engine_site import EngineSite
from flow_steps import be_consistent, become, enqueue, note, states
from hand_worker import hand_worker

YEAR = "interval '1 year'"


async def test_a_unique_key_with_a_future_time_becomes_free(site: EngineSite) -> None:
    (first,) = await enqueue(site, note(unique_key="u", unique_for=60))
    async with hand_worker(site.url) as worker:
        await worker.claim()
        await worker.end(first)
        await worker.commit()
    (same,) = await enqueue(site, note(unique_key="u", unique_for=60))
    assert same == first
    await site.connection.execute(
        f"UPDATE bulkport.unique_keys SET taken_at = taken_at + {YEAR}, expires_at = expires_at + {YEAR}"
    )
    (second,) = await enqueue(site, note(unique_key="u", unique_for=60))
    assert second != first
    (same,) = await enqueue(site, note(unique_key="u", unique_for=60))
    assert same == second


async def test_a_rate_limit_recovers_from_a_future_time(site: EngineSite) -> None:
    limit = {"rate_key": "r", "rate_limit": 2, "rate_seconds": 3600.0}
    ids = await enqueue(site, *(note(**limit) for _ in range(3)))
    async with site.worker():
        await become(site, ids, "succeeded", "succeeded", "scheduled")
    await site.connection.execute(
        f"UPDATE bulkport.rate_limits SET taken_at = taken_at + {YEAR}, full_at = full_at + {YEAR}"
    )
    await site.connection.execute(f"UPDATE bulkport.jobs SET due_at = due_at + {YEAR}")
    (later,) = await enqueue(site, note(**limit))
    async with site.worker():
        await become(site, [later], "scheduled")
    latest = "SELECT max(due_at) - now() < interval '2 hours' FROM bulkport.jobs"
    assert await site.value(latest)
    assert await states(site, ids) == ["succeeded", "succeeded", "scheduled"]


async def test_a_retry_with_a_future_time_runs_at_once(site: EngineSite) -> None:
    fast, usual = await enqueue(site, note(), note())
    async with hand_worker(site.url) as worker:
        for job_id in (fast, usual):
            assert await worker.claim() == job_id
            assert await worker.end(job_id, "retry") == "retrying"
            await worker.commit()
    shift = "UPDATE bulkport.jobs SET due_at = due_at + %s::interval, started_at = started_at + %s::interval"
    await site.connection.execute(f"{shift} WHERE job_id = %s", ("1 year", "1 year", int(fast)))
    await site.connection.execute(f"{shift} WHERE job_id = %s", ("1 hour", "0", int(usual)))
    async with site.worker():
        await become(site, [fast], "succeeded")
    assert await states(site, [usual]) == ["retrying"]
    await be_consistent(site)
