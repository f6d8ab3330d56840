"""An application chooses the engine of its imports: what is asked of one is asked of the engine that it has passed."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from psycopg import sql
from shop_site import opened

from bulkport.identifiers import BackgroundJobId
from bulkport.jobs.port import Connection, WorkerOptions
from bulkport.jobs.postgres import PostgresEngine
from import_steps import NDJSON, imported, ndjson


def recorded(asked: set[str]) -> Callable[..., PostgresEngine]:
    """Engines that record their calls."""

    class Engine(PostgresEngine):
        def enqueue_call(self, *args: Any, **options: Any) -> sql.Composed:
            asked.add("enqueue")
            return super().enqueue_call(*args, **options)

        async def run_worker(self, options: WorkerOptions, stop: asyncio.Event) -> None:
            asked.add("run")
            await super().run_worker(options, stop)

        async def rescue(
            self, server_names: Sequence[str] | None = None, connection: Connection | None = None
        ) -> list[BackgroundJobId]:
            asked.add("rescue")
            return await super().rescue(server_names, connection)

    return Engine


async def test_imports_run_on_the_engine_that_was_passed(shop_url: str) -> None:
    asked: set[str] = set()
    async with opened(shop_url, engine=recorded(asked)) as site:
        job = await imported(site.api, "/api/coupons/bulk", content=ndjson([{"title": "ten"}]), headers=NDJSON)
        assert job["status"] == "Completed"
        await site.bulkport.rescue("nobody")
    assert asked == {"enqueue", "run", "rescue"}
