"""From deliveries that wait to the background jobs that send them. Every worker looks; each delivery gets one job."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import psycopg
from psycopg_pool import PoolTimeout

from bulkport.jobs.port import JobEngine, NewJob
from bulkport.logs import get_logger
from bulkport.pools import AsyncPool
from bulkport.task_scope import background_task
from bulkport.webhooks.deliver import DELIVER_WEBHOOK, WEBHOOK_QUEUE

_INTERVAL_SECONDS: Final = 1.0
_BATCH: Final = 500
_EACH: Final = 100
"""Deliveries to one webhook that one look takes."""
_LANES: Final = 4
"""Deliveries to the webhooks of one user that run at one time, on all workers: a receiver may take its time, and the
places of workers are everybody's. A webhook has one of the lanes, so that a slow receiver holds up those in its own."""

# Users take turns, however many deliveries of others wait. Skipping through the index finds the webhooks with some.
_TAKE: Final = """
    WITH RECURSIVE receiver AS (
        (SELECT webhook_id FROM bulkport.webhook_deliveries WHERE state = 'pending' AND queued_at IS NULL
         ORDER BY webhook_id LIMIT 1)
        UNION ALL
        SELECT next.webhook_id FROM receiver CROSS JOIN LATERAL (
            SELECT webhook_id FROM bulkport.webhook_deliveries
            WHERE state = 'pending' AND queued_at IS NULL AND webhook_id > receiver.webhook_id
            ORDER BY webhook_id LIMIT 1
        ) AS next
    ), waiting AS MATERIALIZED (
        SELECT oldest.id, w.user_id, row_number() OVER (PARTITION BY w.user_id ORDER BY oldest.id) AS turn
        FROM receiver JOIN bulkport.webhooks w ON w.id = receiver.webhook_id CROSS JOIN LATERAL (
            SELECT id FROM bulkport.webhook_deliveries
            WHERE webhook_id = receiver.webhook_id AND state = 'pending' AND queued_at IS NULL
            ORDER BY id LIMIT %(each)s
        ) AS oldest
        ORDER BY turn, oldest.id LIMIT %(batch)s
    ), taken AS (
        UPDATE bulkport.webhook_deliveries d SET queued_at = clock_timestamp()
        WHERE d.id IN (
            SELECT id FROM bulkport.webhook_deliveries
            WHERE id = ANY (ARRAY(SELECT id FROM waiting)) AND state = 'pending' AND queued_at IS NULL
            FOR UPDATE SKIP LOCKED
        )
        RETURNING d.id, d.webhook_id
    )
    SELECT taken.id, taken.webhook_id, waiting.user_id FROM taken JOIN waiting ON waiting.id = taken.id
    ORDER BY waiting.turn, taken.id
"""
_PRUNE: Final = """
    DELETE FROM bulkport.webhook_deliveries WHERE id IN (
        SELECT id FROM bulkport.webhook_deliveries WHERE created_at < clock_timestamp() - interval '30 days' LIMIT 1000
    )
"""

_log = get_logger(__name__)


class Dispatcher:
    """Queues jobs for deliveries."""

    def __init__(self, pool: AsyncPool, engine: JobEngine) -> None:
        self._pool = pool
        self._engine = engine

    @asynccontextmanager
    async def running(self, interval_seconds: float = _INTERVAL_SECONDS) -> AsyncIterator[None]:
        """Look every `interval_seconds` for as long as the context lasts."""
        async with background_task(self._run(interval_seconds), "webhook dispatcher"):
            yield

    async def dispatch(self) -> int:
        """Look once. Returns how many deliveries have a job now that had none.

        The jobs and the mark that they exist are one commit.
        """
        async with self._pool.connection() as connection, connection.transaction():
            taken = await (await connection.execute(_TAKE, {"batch": _BATCH, "each": _EACH})).fetchall()
            if taken:
                await self._engine.enqueue_many(
                    connection,
                    [
                        NewJob(
                            DELIVER_WEBHOOK,
                            {"delivery_id": delivery_id},
                            WEBHOOK_QUEUE,
                            user_id=user_id,
                            concurrency_key=f"webhooks of {user_id}, lane {webhook_id % _LANES}",
                            concurrency_limit=1,
                        )
                        for delivery_id, webhook_id, user_id in taken
                    ],
                )
            return len(taken)

    async def _run(self, interval_seconds: float) -> None:
        looks = 0
        while True:
            try:
                while await self.dispatch():
                    pass
                if looks % 3600 == 0:
                    async with self._pool.connection() as connection:
                        await connection.execute(_PRUNE)
            except (psycopg.Error, PoolTimeout) as error:
                _log.warning("webhooks could not be queued", error=str(error).strip())
            looks += 1
            await asyncio.sleep(interval_seconds)
