"""Claiming jobs: what comes in while a worker looks for it is not left to the next poll."""

import asyncio
from collections.abc import Mapping
from typing import Any, LiteralString

from engine_site import EngineSite
from psycopg.rows import DictRow

from bulkport.jobs import WorkerOptions
from bulkport.jobs.procrastinate_engine import queries
from bulkport.jobs.procrastinate_engine.connector import LinkConnector
from bulkport.jobs.procrastinate_engine.ledger import JobLedger
from bulkport.jobs.procrastinate_engine.link import DatabaseLink


class _LateLink(DatabaseLink):
    """Lets a job be queued between the answer to the first claim and its arrival here."""

    site: EngineSite
    connector: LinkConnector
    claims = 0

    async def fetch_all(
        self, query: LiteralString, arguments: Mapping[str, Any], give_up: asyncio.Event | None = None
    ) -> list[DictRow]:
        rows = await super().fetch_all(query, arguments, give_up)
        if query is queries.CLAIM:
            self.claims += 1
            if self.claims == 1:
                notified = self.connector.notified
                await self.site.enqueue("note")
                while self.connector.notified == notified:
                    await asyncio.sleep(0.01)
        return rows


async def _ignore(**_: Any) -> None: ...


async def test_a_job_queued_while_the_worker_looked_is_claimed_at_once(site: EngineSite) -> None:
    link = _LateLink(site.url, asyncio.Event())
    link.site = site
    link.connector = connector = LinkConnector(site.url, link)
    ledger = JobLedger(
        connector,
        link,
        WorkerOptions(site.url, "worker"),
        known_tasks={"note"},
        heavy_tasks=set(),
        stop_claiming=asyncio.Event(),
        on_registered=lambda _: None,
        on_evicted=lambda: None,
        on_waiting=lambda _: None,
    )
    worker_id = await ledger.register_worker()
    listening = asyncio.create_task(ledger.listen_for_jobs(on_notification=_ignore))
    while not connector.notified:
        await asyncio.sleep(0.01)
    job = await ledger.fetch_job(None, worker_id)
    assert job is not None
    assert link.claims == 2
    # Without news one look is enough.
    assert await ledger.fetch_job(None, worker_id) is None
    assert link.claims == 3
    listening.cancel()
    await asyncio.wait({listening})
    await link.close()
