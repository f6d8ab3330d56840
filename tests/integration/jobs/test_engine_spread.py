"""Heavy jobs spread over servers: one that is busy leaves the next job to an idle one."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from engine_site import EngineSite

from bulkport.jobs import WorkerOptions
from bulkport.jobs.procrastinate_engine import ledger as ledger_module
from bulkport.jobs.procrastinate_engine.connector import LinkConnector
from bulkport.jobs.procrastinate_engine.ledger import JobLedger
from bulkport.jobs.procrastinate_engine.link import DatabaseLink


async def _ledger(site: EngineSite, name: str, stack: AsyncExitStack) -> tuple[JobLedger, int]:
    link = DatabaseLink(site.url, asyncio.Event())
    stack.push_async_callback(link.close)
    ledger = JobLedger(
        LinkConnector(site.url, link),
        link,
        WorkerOptions(site.url, name),
        known_tasks={"note", "wait"},
        heavy_tasks={"wait"},
        stop_claiming=asyncio.Event(),
        on_registered=lambda _: None,
        on_evicted=lambda: None,
        on_waiting=lambda _: None,
    )
    return ledger, await ledger.register_worker()


async def test_a_server_with_a_heavy_job_lets_others_claim_first(
    site: EngineSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "_DEFERENCE_SECONDS", 1.0)
    async with AsyncExitStack() as stack:
        busy, busy_id = await _ledger(site, "busy", stack)
        idle, idle_id = await _ledger(site, "idle", stack)
        await site.enqueue("wait", gate="gate")
        assert await busy.fetch_job(None, busy_id) is not None
        await site.enqueue("note")
        asks_first = asyncio.create_task(busy.fetch_job(None, busy_id))
        await asyncio.sleep(0.1)
        assert await idle.fetch_job(None, idle_id) is not None
        assert await asks_first is None


async def test_a_server_alone_takes_the_next_job_all_the_same(site: EngineSite) -> None:
    async with AsyncExitStack() as stack:
        alone, alone_id = await _ledger(site, "alone", stack)
        for _ in range(2):
            await site.enqueue("wait", gate="gate")
            assert await alone.fetch_job(None, alone_id) is not None
