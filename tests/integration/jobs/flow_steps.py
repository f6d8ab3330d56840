"""What tests of flow and control do to a site and ask of it."""

import asyncio
from collections.abc import Iterable
from typing import Any

from engine_site import EngineSite, eventually

from bulkport.identifiers import BackgroundJobId
from bulkport.jobs.job import JSONValue
from bulkport.jobs.port.control import Effect, Order
from bulkport.jobs.port.queueing import NewJob


async def enqueue(site: EngineSite, *jobs: NewJob) -> list[BackgroundJobId]:
    return [job.id for job in await site.engine.enqueue_many(site.connection, jobs)]


def note(text: str = "ran", **options: object) -> NewJob:
    """A job that writes one event down."""
    return job("note", {"text": text}, **options)


def gated(gate: str = "gate", **options: object) -> NewJob:
    """A job that writes `begun`, waits for the gate, and writes `ended`."""
    return job("wait", {"gate": gate}, **options)


def job(task: str, args: dict[str, JSONValue], **options: object) -> NewJob:
    return NewJob(task, args, **options)  # type: ignore[arg-type]


async def give(site: EngineSite, order: Order, *job_ids: BackgroundJobId) -> list[Effect]:
    """The effects of an order, in the order of the jobs."""
    results = await site.engine.control.order(order, job_ids, site.connection)
    assert [result.job_id for result in results] == list(job_ids)
    return [result.effect for result in results]


async def is_waiting(task: asyncio.Task[Any]) -> bool:
    """Whether the task is waiting for a lock, judged after a short wait."""
    done, _ = await asyncio.wait({task}, timeout=0.15)
    return not done


async def states(site: EngineSite, job_ids: Iterable[BackgroundJobId]) -> list[str]:
    """States as they are kept; one that is held back by its concurrency key is 'parked', one that runs 'running'."""
    cursor = await site.connection.execute(
        "SELECT job.job_id, CASE WHEN job.parked THEN 'parked' WHEN job.state = 'processing' THEN 'running'"
        " ELSE job.state::text END FROM bulkport.all_jobs job WHERE job.job_id = ANY(%s)",
        ([int(job_id) for job_id in job_ids],),
    )
    found = dict(await cursor.fetchall())
    return [found[int(job_id)] for job_id in job_ids]


async def become(site: EngineSite, job_ids: Iterable[BackgroundJobId], *wanted: str, seconds: float = 90.0) -> None:
    """Wait until the jobs are in these states (one for all, or one each)."""
    ids = list(job_ids)
    expected = list(wanted) if len(wanted) > 1 else list(wanted) * len(ids)
    seen: list[str] = []

    async def are() -> bool:
        seen[:] = await states(site, ids)
        return seen == expected

    try:
        await eventually(are, f"states {expected}", seconds)
    except AssertionError as error:
        raise AssertionError(f"{error}; they are {seen}") from None


async def reasons(site: EngineSite, job_id: BackgroundJobId) -> list[tuple[str, str, str | None]]:
    """The job's history: state, reason and actor."""
    cursor = await site.connection.execute(
        "SELECT state::text, reason, actor FROM bulkport.job_history WHERE job_id = %s ORDER BY id", (int(job_id),)
    )
    return await cursor.fetchall()


async def most_at_one_time(site: EngineSite, job_ids: Iterable[BackgroundJobId]) -> int:
    """Maximum concurrency of these gated jobs."""
    most = await site.value(
        """
        WITH span AS (
            SELECT job_id, min(at) FILTER (WHERE event = 'begun') AS begun,
                   max(at) FILTER (WHERE event = 'ended') AS ended
            FROM runs WHERE job_id = ANY(%s) GROUP BY job_id
        )
        SELECT max((SELECT count(*) FROM span other WHERE other.begun <= span.begun AND other.ended > span.begun))
        FROM span
        """,
        list(job_ids),
    )
    return int(most)


async def be_consistent(site: EngineSite) -> None:
    """What is kept of jobs agrees: states, workers, keys, batches, counts."""
    # As workers do every second.
    await site.connection.execute("SELECT bulkport.settle_left()")
    for what, query in _DISAGREEMENTS.items():
        cursor = await site.connection.execute(query)  # type: ignore[call-overload]
        assert await cursor.fetchall() == [], what


_DISAGREEMENTS = {
    "a job has one row": """
        SELECT job_id FROM bulkport.all_jobs GROUP BY job_id HAVING count(*) <> 1
    """,
    "a running job is a worker's, and no other job is": """
        SELECT job_id FROM bulkport.jobs WHERE (state = 'processing') <> (worker_id IS NOT NULL)
    """,
    "no job is parked while its key has a free slot": """
        SELECT job_id FROM bulkport.jobs WHERE parked AND bulkport.free_slots(concurrency_key) > 0
    """,
    "a key has no more running jobs than it may": """
        SELECT concurrency_key FROM bulkport.jobs WHERE state = 'processing' AND concurrency_key IS NOT NULL
        GROUP BY concurrency_key HAVING count(*) > max(concurrency_limit)
    """,
    "a sealed batch without unfinished jobs has ended": """
        SELECT batch_id FROM bulkport.job_batches batch WHERE finished_at IS NULL AND sealed AND NOT EXISTS (
            SELECT FROM bulkport.jobs job WHERE job.batch_id = batch.batch_id)
    """,
    "awaiting jobs wait for parents that have not ended": """
        SELECT job_id FROM bulkport.jobs job WHERE state = 'awaiting' AND parents_left <> (
            SELECT count(*) FROM bulkport.job_continuations link WHERE link.child_id = job.job_id AND NOT settled)
        UNION ALL
        SELECT link.child_id FROM bulkport.job_continuations link
        JOIN bulkport.all_jobs parent ON parent.job_id = parent_id
        JOIN bulkport.jobs child ON child.job_id = link.child_id
        WHERE child.state = 'awaiting' AND NOT link.settled AND parent.state IN ('succeeded', 'failed', 'cancelled')
    """,
    "counts, with the changes that are not in them yet, are those of the jobs": """
        WITH change AS (
            SELECT task, queue, state, jobs FROM bulkport.job_counts
            UNION ALL SELECT task, queue, entered_state, jobs FROM bulkport.job_deltas WHERE entered_state IS NOT NULL
            UNION ALL SELECT task, queue, left_state, -jobs FROM bulkport.job_deltas WHERE left_state IS NOT NULL
            UNION ALL SELECT task, queue, CASE state WHEN 'processing' THEN 'enqueued' ELSE state END, -1
            FROM bulkport.all_jobs
        )
        SELECT task, queue, state, sum(jobs) FROM change GROUP BY task, queue, state HAVING sum(jobs) <> 0
    """,
}
