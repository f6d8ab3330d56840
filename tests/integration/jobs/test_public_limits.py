"""Limits that callers set: one job of a key for a time, so many starts in a period, and arguments of megabytes."""

import asyncio
import itertools
from datetime import UTC, datetime
from typing import Final

import psycopg
from engine_site import eventually
from public_site import PublicSite

from background_jobs import BackgroundJobs
from bulkport.jobs import JobState

HOUR: Final = 3600.0
MEGABYTES: Final = 19


async def _value(url: str, query: str) -> object:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        row = await (await connection.execute(query.encode())).fetchone()
    return None if row is None else row[0]


async def test_a_unique_key_stays_taken_for_its_period_after_the_job_has_ended(database_url: str) -> None:
    jobs = BackgroundJobs()

    @jobs.task(name="reindex")
    async def reindex(shop: int) -> int:
        return shop

    async with jobs.connect(database_url):
        site = PublicSite(database_url, jobs)
        debounced = reindex.options(unique_key="shop 1", unique_for=HOUR)
        async with site.worker():
            (first,) = await jobs.enqueue_many([debounced.call(1)])
            await site.reaches(first.id, JobState.SUCCEEDED)
            (second,) = await jobs.enqueue_many([debounced.call(1)])
            assert (second.is_new, second.id) == (False, first.id)
            (other,) = await jobs.enqueue_many([reindex.options(unique_key="shop 2", unique_for=HOUR).call(2)])
            assert other.is_new
            await _value(
                database_url,
                "UPDATE bulkport.unique_keys SET expires_at = now() - interval '1 s' WHERE unique_key = 'shop 1'"
                " RETURNING 1",
            )
            (third,) = await jobs.enqueue_many([debounced.call(1)])
            assert third.is_new
            await site.reaches(third.id, JobState.SUCCEEDED)


async def test_one_of_many_concurrent_jobs_gets_a_unique_key(database_url: str) -> None:
    jobs = BackgroundJobs()

    @jobs.task(name="reindex")
    async def reindex() -> None: ...

    async with jobs.connect(database_url, most=10):
        for seconds in (None, HOUR):
            call = reindex.options(unique_key=f"all {seconds}", unique_for=seconds).call()
            enqueued = [one for (one,) in await asyncio.gather(*(jobs.enqueue_many([call]) for _ in range(40)))]
            assert [one.is_new for one in enqueued].count(True) == 1
            assert len({one.id for one in enqueued}) == 1


async def test_a_rate_limit_of_a_key_holds_across_all_workers(database_url: str) -> None:
    jobs = BackgroundJobs()
    started: list[str] = []

    @jobs.task(name="mail", rate_limit=5, rate_seconds=HOUR)
    async def mail(recipient: str) -> None:
        started.append(recipient)

    async with jobs.connect(database_url):
        site = PublicSite(database_url, jobs)
        ids = [job.id for job in await jobs.enqueue_many([mail.call(f"a{number}") for number in range(12)])]
        bobs = mail.options(rate_key="bob").call
        other = [job.id for job in await jobs.enqueue_many([bobs(f"b{number}") for number in range(3)])]
        async with site.worker(), site.worker():
            for job_id in (*ids[:5], *other):
                await site.reaches(job_id, JobState.SUCCEEDED)

            async def are_scheduled() -> bool:
                return all([(await site.job(job_id)).state is JobState.SCHEDULED for job_id in ids[5:]])

            await eventually(are_scheduled, "the jobs beyond the limit wait for their time")
        now = datetime.now(UTC)
        due = [(await site.job(job_id)).scheduled_at for job_id in ids[5:]]
    waits = sorted([(at - now).total_seconds() for at in due if at is not None])
    assert sorted(started) == sorted([f"a{number}" for number in range(5)] + ["b0", "b1", "b2"])
    # A token comes back every twelve minutes.
    spaces = [later - earlier for earlier, later in itertools.pairwise(waits)]
    assert len(waits) == 7
    assert all(abs(space - HOUR / 5) < 1 for space in spaces), spaces
    assert 0 < waits[0] <= HOUR / 5


async def test_arguments_of_megabytes_reach_the_task_whole(database_url: str) -> None:
    jobs = BackgroundJobs()

    @jobs.task(name="measure")
    async def measure(text: str) -> tuple[int, str]:
        return len(text), text[-3:]

    async with jobs.connect(database_url):
        site = PublicSite(database_url, jobs)
        text = "x" * (MEGABYTES * 1_000_000 - 3) + "end"
        large = await jobs.enqueue(measure, text)
        many = await jobs.enqueue_many([measure.call(text), measure.call("tiny")])
        # What changes of state write anew is the row, and the arguments are not in it.
        assert int(str(await _value(database_url, "SELECT pg_relation_size('bulkport.jobs')"))) < 100_000
        async with site.worker(concurrency=2):
            for job_id, length in ((large, len(text)), (many[0].id, len(text)), (many[1].id, 4)):
                job = await site.reaches(job_id, JobState.SUCCEEDED)
                assert job.result == [length, text[-3:] if length > 4 else "iny"]
        assert int(str(await _value(database_url, "SELECT pg_relation_size('bulkport.finished_jobs')"))) < 100_000
