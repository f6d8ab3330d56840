"""A worker takes turns and connections in one order, so that no deadlock arises."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import LiteralString

from one_chunk import GAUGES, opened

from bulkport.identifiers import ImportId, UserId
from bulkport.imports.body.upload import Upload
from bulkport.imports.formats import BodyFormat, Handling
from bulkport.imports.ingest import Intake
from bulkport.imports.resource import Resources
from bulkport.imports.worker import chunk_worker
from bulkport.imports.worker.attempt import Attempt, begin_attempt
from bulkport.imports.worker.fair_queue import FairQueue
from bulkport.imports.writing.table import TableCatalogue
from bulkport.jobs.port import BackgroundJobId, JobContext
from bulkport.limits import ImportLimits
from bulkport.pools import AsyncPool, open_pool

SLOTS = 2
STRICT_IMPORTS = 6
OTHERS = 4
ROWS = 40


async def test_waiting_strict_imports_leave_connections_to_those_with_a_turn(shop_url: str) -> None:
    async with opened(shop_url) as site, open_pool(shop_url, name="worker", most=SLOTS + 4, acquire_seconds=5) as pool:
        intake = Intake(site.intake._engine, site.pool, site.pool, ImportLimits(chunk_bytes=500), chunk_workers=2)
        strict = [await _accept(intake, f"s{number}", Handling.STRICT) for number in range(STRICT_IMPORTS)]
        others = [await _accept(intake, f"o{number}", Handling.LENIENT) for number in range(OTHERS)]
        attempts = {import_id: await _begin(pool, import_id) for import_id in (*strict, *others)}
        fair_queue, whole_writes = FairQueue(SLOTS), FairQueue(2)
        async with (
            asyncio.timeout(60),
            asyncio.TaskGroup() as group,
            site.pool.connection() as connection,
            connection.transaction(),
        ):
            await connection.execute("LOCK TABLE gauges")
            for import_id in strict:
                group.create_task(_work(pool, fair_queue, whole_writes, attempts[import_id]))

            async def all_want_to_write() -> bool:
                return await _progress(site.pool, strict) == (0, 2)

            await eventually(all_want_to_write, "strict imports that write")
            for import_id in others:
                group.create_task(_work(pool, fair_queue, whole_writes, attempts[import_id]))
        assert await _count(site.pool, "SELECT count(*) FROM gauges") == ROWS * (STRICT_IMPORTS + OTHERS)


async def test_a_strict_import_that_holds_contended_keys_does_not_wait(shop_url: str) -> None:
    async with opened(shop_url) as site, open_pool(shop_url, name="worker", most=SLOTS + 4, acquire_seconds=5) as pool:
        intake = Intake(site.intake._engine, site.pool, site.pool, ImportLimits(chunk_bytes=500), chunk_workers=2)
        first = await _accept(intake, "same", Handling.STRICT)
        others = [await _accept(intake, "same", Handling.LENIENT, user=f"o{number}") for number in range(OTHERS)]
        attempts = {import_id: await _begin(pool, import_id) for import_id in (first, *others)}
        fair_queue, whole_writes = FairQueue(SLOTS), FairQueue(2)
        # The last of the keys is taken, so the strict import stops when it has written all others.
        async with (
            asyncio.timeout(60),
            asyncio.TaskGroup() as group,
            site.pool.connection() as connection,
            connection.transaction(force_rollback=True),
        ):
            await connection.execute("INSERT INTO gauges VALUES (%s, 1, 1)", (f"same-{ROWS - 1}",))
            group.create_task(_work(pool, fair_queue, whole_writes, attempts[first]))

            async def stopped() -> bool:
                return await _progress(site.pool, [first]) == (0, 1)

            await eventually(stopped, "a strict import that waits for a key")
            for import_id in others:
                group.create_task(_work(pool, fair_queue, whole_writes, attempts[import_id]))

            async def all_wait() -> bool:
                return await _progress(site.pool, []) == (0, 1 + SLOTS)

            await eventually(all_wait, "others that wait for its keys")
        assert await _count(site.pool, "SELECT count(*) FROM gauges") == ROWS


_PROGRESS = """
    SELECT (SELECT count(*) FROM bulkport.import_chunks WHERE job_id = ANY(%(strict)s) AND state = 'pending'),
           (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')
"""


async def eventually(check: Callable[[], Awaitable[bool]], what: str) -> None:
    try:
        async with asyncio.timeout(60):
            while not await check():
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"did not happen: {what}") from None


async def _progress(pool: AsyncPool, strict: list[ImportId]) -> tuple[int, int]:
    """Unchecked chunks of strict imports, and sessions that wait for a lock."""
    async with pool.connection() as connection:
        row = await (await connection.execute(_PROGRESS, {"strict": strict})).fetchone()
        assert row is not None
        return row[0], row[1]


async def _count(pool: AsyncPool, query: LiteralString) -> int:
    async with pool.connection() as connection:
        row = await (await connection.execute(query)).fetchone()
        assert row is not None
        return int(row[0])


async def _accept(intake: Intake, name: str, handling: Handling, user: str | None = None) -> ImportId:
    async def parts() -> AsyncIterator[bytes]:
        for number in range(ROWS):
            yield json.dumps({"code": f"{name}-{number}", "level": 1, "room_id": 1}).encode() + b"\n"

    upload = Upload(
        resource=GAUGES,
        user_id=UserId(user or name),
        format=BodyFormat.NDJSON,
        content_encoding=None,
        handling=handling,
        body=parts(),
    )
    return (await intake.accept(upload)).id


async def _begin(pool: AsyncPool, import_id: ImportId) -> Attempt:
    async with pool.connection() as connection:
        attempt = await begin_attempt(connection, Resources([GAUGES]), TableCatalogue(), import_id, joins=False)
    assert attempt is not None
    return attempt


async def _work(pool: AsyncPool, fair_queue: FairQueue, whole_writes: FairQueue, attempt: Attempt) -> None:
    context = JobContext(
        job_id=BackgroundJobId("1"),
        task="",
        args={},
        priority=0,
        attempt=1,
        max_attempts=1,
        asks_cancel=lambda: False,
        asks_stop=lambda: False,
    )
    await chunk_worker.ChunkWorker(pool, fair_queue, whole_writes, attempt, context).work(others_wait=lambda: False)
