"""Plans made while the tables were nearly empty serve as well when they are full a moment later.

A session plans a statement of a function once. When the tables have been analyzed before, as autovacuum does every
minute, reading them from end to end looks best; with a burst of jobs it would then be done for each of them.
"""

from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from engine_site import EngineSite
from hand_worker import HandWorker, hand_worker

from bulkport.identifiers import BackgroundJobId
from bulkport.jobs.job import DEFAULT_QUEUE
from bulkport.jobs.port import NewJob

FEW = 8  # PostgreSQL plans a statement anew for its first five values.
MANY = 2_000
TAKEN = 20
MOST_ROWS_A_JOB = 50


class Session:
    """A session of the database in which jobs are queued, claimed and ended."""

    def __init__(self, site: EngineSite, connection: psycopg.AsyncConnection[Any], worker: HandWorker) -> None:
        self._site = site
        self._connection = connection
        self.worker = worker

    async def queue(self, count: int, queue: str = DEFAULT_QUEUE) -> None:
        await self._site.engine.enqueue_many(self._connection, [NewJob("note", {}, queue)] * count)

    async def rows_read(self) -> int:
        """Rows of the engine's tables that the transaction has read so far."""
        cursor = await self._connection.execute(
            "SELECT sum(COALESCE(seq_tup_read, 0) + COALESCE(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables"
            " WHERE relname ~ '^(procrastinate|background)_'"
        )
        row = await cursor.fetchone()
        assert row is not None
        return int(row[0])

    async def claimed(self, queues: list[str] | None = None) -> BackgroundJobId:
        job_id = await self.worker.claim(queues, commit=False)
        assert job_id is not None
        return job_id


@pytest.fixture
async def session(site: EngineSite) -> AsyncIterator[Session]:
    """A session that has made its plans, on analyzed tables with a few rows."""
    async with hand_worker(site.url) as worker:
        session = Session(site, worker.connection, worker)
        await session.queue(FEW)
        await worker.commit()
        await site.connection.execute("VACUUM ANALYZE")
        for _ in range(FEW):
            await session.queue(1)
            await session.queue(2)
            await worker.end(await session.claimed())
            await worker.commit()
        yield session


async def test_a_burst_of_jobs_is_queued_claimed_and_ended_job_by_job(session: Session) -> None:
    before = await session.rows_read()
    await session.queue(MANY)
    queued = await session.rows_read()
    assert queued - before < MANY * MOST_ROWS_A_JOB

    taken = [await session.claimed() for _ in range(TAKEN)]
    claimed = await session.rows_read()
    assert claimed - queued < TAKEN * MOST_ROWS_A_JOB

    for job_id in taken:
        await session.worker.end(job_id)
    assert await session.rows_read() - claimed < TAKEN * MOST_ROWS_A_JOB


@pytest.mark.parametrize("is_paused", [False, True], ids=["not served here", "paused"])
async def test_claims_do_not_pass_by_all_that_waits_in_another_queue(
    site: EngineSite, session: Session, is_paused: bool
) -> None:
    if is_paused:
        await site.connection.execute("SELECT background_pause_queue_v1('other', NULL)")
    served = None if is_paused else ["mine"]
    while (job_id := await session.worker.claim(commit=False)) is not None:
        await session.worker.end(job_id)
    await session.queue(MANY, "other")
    await session.worker.commit()
    await site.connection.execute("ANALYZE procrastinate_jobs")
    before = await session.rows_read()
    for _ in range(TAKEN):
        assert await session.worker.claim(served, commit=False) is None
        await session.queue(1, "mine")
        await session.claimed(served)
    assert await session.rows_read() - before < TAKEN * 3 * MOST_ROWS_A_JOB
