"""The worker's database connection: made anew when it is lost, given up when it must be."""

import asyncio

import psycopg
import pytest
from engine_site import EngineSite, eventually

from bulkport.jobs.postgres.connection import GivenUp, WorkerConnection


async def _backend(link: WorkerConnection) -> int:
    rows = await link.fetch_all("SELECT pg_backend_pid() AS pid", {})
    return int(rows[0]["pid"])


async def test_a_lost_connection_is_reopened(site: EngineSite) -> None:
    link = WorkerConnection(site.url, asyncio.Event())
    first = await _backend(link)
    await site.value("SELECT pg_terminate_backend(%s)", first)
    assert await _backend(link) != first
    await link.close()


async def test_an_interrupted_statement_is_retried(site: EngineSite) -> None:
    link = WorkerConnection(site.url, asyncio.Event())
    first = await _backend(link)
    waiting = "SELECT pg_advisory_xact_lock(1), pg_backend_pid() AS pid"
    async with site.connection.transaction():
        await site.connection.execute("SELECT pg_advisory_xact_lock(1)")
        answer = asyncio.create_task(link.fetch_all(waiting, {}))

        async def is_waiting() -> bool:
            query = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'"
            return bool(await site.value(query, first))

        await eventually(is_waiting, "statement waits")
        await site.value("SELECT pg_terminate_backend(%s)", first)
    assert (await answer)[0]["pid"] != first
    await link.close()


async def test_a_rejected_statement_is_not_retried(site: EngineSite) -> None:
    link = WorkerConnection(site.url, asyncio.Event())
    first = await _backend(link)
    for refused, error in (
        ("SELECT 1 / 0 AS x", psycopg.errors.DivisionByZero),
        ("SELECT set_config('statement_timeout', '20', false), pg_sleep(0)", None),
        ("SELECT pg_sleep(30)", psycopg.errors.QueryCanceled),
    ):
        if error is None:
            await link.fetch_all(refused, {})
        else:
            with pytest.raises(error):
                await link.fetch_all(refused, {})
    assert await _backend(link) == first
    await link.close()


async def test_waiting_for_an_unavailable_database_can_be_stopped() -> None:
    abandon, give_up = asyncio.Event(), asyncio.Event()
    link = WorkerConnection("postgresql://nobody@/none?host=/nonexistent", abandon)
    waiting = [
        asyncio.create_task(link.fetch_all("SELECT 1", {})),
        asyncio.create_task(link.fetch_all("SELECT 1", {}, give_up)),
    ]
    done, _ = await asyncio.wait(waiting, timeout=0.2)
    assert not done
    give_up.set()
    abandon.set()
    for answer in waiting:
        with pytest.raises(GivenUp):
            await answer
    await link.close()
