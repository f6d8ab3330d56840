"""Claims: as many jobs as there is room for, only of known tasks, in fair order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest
from engine_site import EngineSite

from bulkport.identifiers import BackgroundJobId
from bulkport.jobs.port import NewJob
from bulkport.jobs.postgres.connection import WorkerConnection
from bulkport.jobs.postgres.producer import Claim, Claimer

TASKS = ["import", "note"]


class Worker:
    """A worker that only claims."""

    def __init__(self, connection: WorkerConnection, claimer: Claimer) -> None:
        self._connection = connection
        self._claimer = claimer

    async def claim(self, free: int) -> list[BackgroundJobId]:
        return [BackgroundJobId(str(job.job_id)) for job in (await self.claim_all(free)).jobs]

    async def claim_all(self, free: int) -> Claim:
        return await self._claimer.claim(free)


@asynccontextmanager
async def worker(
    site: EngineSite, *, tasks: list[str] = TASKS, heavy: tuple[str, ...] = (), queues: list[str] | None = None
) -> AsyncIterator[Worker]:
    connection = WorkerConnection(site.url, asyncio.Event())
    claimer = Claimer(connection, tasks, heavy, queues)
    claimer.worker_id = await site.value(
        "INSERT INTO bulkport.servers (name, host, process_id, version, tasks, concurrency)"
        " VALUES (gen_random_uuid(), 'here', 1, '0', %s, 20) RETURNING worker_id",
        tasks,
    )
    try:
        yield Worker(connection, claimer)
    finally:
        await connection.close()


async def enqueue(site: EngineSite, count: int = 1, task: str = "note", **options: object) -> list[BackgroundJobId]:
    jobs = [NewJob(task, {"number": number}, **options) for number in range(count)]  # type: ignore[arg-type]
    return [job.id for job in await site.engine.enqueue_many(site.connection, jobs)]


async def test_a_worker_claims_as_many_jobs_as_it_has_room_for_in_order(site: EngineSite) -> None:
    ids = await enqueue(site, 7)
    async with worker(site) as one:
        assert await one.claim(5) == ids[:5]
        assert await one.claim(5) == ids[5:]
        assert await one.claim(5) == []


async def test_concurrent_claims_never_return_the_same_job(site: EngineSite) -> None:
    ids = await enqueue(site, 200)
    async with worker(site) as one, worker(site) as other, worker(site) as third:
        got: list[BackgroundJobId] = []
        while len(got) < len(ids):
            for claimed in await asyncio.gather(*(each.claim(7) for each in (one, other, third))):
                got += claimed
    assert sorted(got, key=int) == ids


async def test_jobs_of_unknown_tasks_are_left_alone_however_many_wait_first(site: EngineSite) -> None:
    unknown = await enqueue(site, 2_000, "unknown", priority=5)
    (known,) = await enqueue(site)
    async with worker(site) as one:
        assert await one.claim(5) == [known]
        assert not (await one.claim_all(5)).is_contended
    async with worker(site, tasks=["unknown"]) as other:
        assert await other.claim(2) == unknown[:2]


async def test_a_worker_claims_one_job_at_a_time_of_a_processor_bound_task(site: EngineSite) -> None:
    heavy = await enqueue(site, 3, "import")
    async with worker(site, heavy=("import",)) as one, worker(site, heavy=("import",)) as other:
        assert await one.claim(20) == heavy[:1]
        assert await other.claim(20) == heavy[1:2]
        assert await one.claim(20) == heavy[2:]


async def test_jobs_of_several_processor_bound_tasks_are_spread(site: EngineSite) -> None:
    """An import and its assistant are for two processes, not for two slots of one."""
    (first,) = await enqueue(site, 1, "import")
    (second,) = await enqueue(site, 1, "assist")
    kinds = {"tasks": [*TASKS, "import", "assist"], "heavy": ("import", "assist")}
    async with worker(site, **kinds) as one, worker(site, **kinds) as other:  # type: ignore[arg-type]
        assert await one.claim(20) == [first]
        assert await other.claim(20) == [second]


async def test_users_take_turns(site: EngineSite) -> None:
    """Whoever has few jobs does not wait for whoever has many."""
    many = await enqueue(site, 300, user_id="eve")
    async with worker(site) as one:
        assert await one.claim(10) == many[:10]
        few = await enqueue(site, 2, user_id="ada")
        first = await one.claim(4)
        assert set(few) <= set(first)
        assert await one.claim(3) == [each for each in many[10:] if each not in first][:3]


async def test_jobs_without_a_user_take_turns_with_those_of_users(site: EngineSite) -> None:
    await enqueue(site, 300)
    async with worker(site) as one:
        await one.claim(5)
        (single,) = await enqueue(site, user_id="ada")
        assert single in await one.claim(2)


async def test_jobs_enqueued_one_by_one_take_turns_too(site: EngineSite) -> None:
    for _ in range(60):
        await site.add(NewJob("note", {}, user_id="eve"))
    async with worker(site) as one:
        await one.claim(20)
        single = await site.add(NewJob("note", {}, user_id="ada"))
        assert single in await one.claim(2)


async def test_queues_of_equal_priority_share_claims_by_weight(site: EngineSite) -> None:
    await enqueue(site, 400, queue="heavy")
    await enqueue(site, 400, queue="light")
    await site.engine.control.weigh_queue("heavy", 3, connection=site.connection)
    counts = {"heavy": 0, "light": 0}
    async with worker(site) as one:
        for _ in range(200):
            for job in (await one.claim_all(1)).jobs:
                counts[job.queue] += 1
    assert counts["light"] > 20
    assert counts["heavy"] > 1.5 * counts["light"]


async def test_a_locked_job_is_skipped_and_claimed_later(site: EngineSite) -> None:
    ids = await enqueue(site, 60)
    async with (
        worker(site) as one,
        await psycopg.AsyncConnection.connect(site.url) as stranger,
    ):
        await stranger.execute(
            "SELECT FROM bulkport.jobs WHERE job_id = ANY (%s) FOR UPDATE", ([int(job_id) for job_id in ids[:50]],)
        )
        got: list[BackgroundJobId] = []
        while len(got) < 10:
            claim = await one.claim_all(2)
            got += [BackgroundJobId(str(job.job_id)) for job in claim.jobs]
            assert claim.jobs or claim.is_contended
        assert got == ids[50:]
        await stranger.rollback()
        assert await one.claim(2) == ids[:2]


async def test_a_rate_limit_allows_a_burst_and_spaces_the_rest(site: EngineSite) -> None:
    ids = await enqueue(site, 8, rate_key="mail", rate_limit=3, rate_seconds=30.0)
    others = await enqueue(site, 2)
    async with worker(site) as one:
        got = await one.claim(20)
        got += await one.claim(20)
        assert set(got) == {*ids[:3], *others}
    waits = await site.value(
        "SELECT array_agg(extract(epoch FROM due_at - created_at)::float ORDER BY job_id) FROM bulkport.jobs"
        " WHERE state = 'scheduled'"
    )
    assert waits == pytest.approx([10, 20, 30, 40, 50], abs=5)


async def test_a_rate_limit_refills(site: EngineSite) -> None:
    ids = await enqueue(site, 4, rate_key="mail", rate_limit=2, rate_seconds=30.0)
    async with worker(site) as one:
        assert await one.claim(20) == ids[:2]
        assert await one.claim(20) == []
        await site.connection.execute("UPDATE bulkport.jobs SET due_at = now() WHERE state = 'scheduled'")
        assert await site.value("SELECT released FROM bulkport.release_due(10)") == 2
        assert await one.claim(20) == ids[2:]


async def test_a_worker_without_a_lease_claims_nothing(site: EngineSite) -> None:
    await enqueue(site)
    async with worker(site) as one:
        await site.connection.execute("DELETE FROM bulkport.servers")
        claim = await one.claim_all(5)
    assert (list(claim.jobs), claim.is_evicted) == ([], True)
