"""One run: starts everything, breaks it, restores it and checks the result."""

import asyncio
import contextlib
import random
import tempfile
import time
from pathlib import Path
from typing import Final

import httpx
import psycopg

from bulkport.runtime import event_loop_factory
from chaos.application import DIRECT_URL, TABLES
from chaos.checker import Checker
from chaos.clients import Clients
from chaos.contents import REFERENCED_PLATFORM
from chaos.database import ChaosDatabase, open_database
from chaos.faults import FAULTS, Site
from chaos.fleet import Fleet, open_fleet
from chaos.injector import chance_of, inject
from chaos.jobs import enqueue_jobs
from chaos.ledger import Fate, Ledger
from chaos.nursery import open_nursery
from chaos.options import Options
from chaos.proxy import open_proxy
from commandapi import migrations
from commandapi.auth.keys import create_key

_READY_SECONDS: Final = 60.0

_BACKLOG: Final = """
    SELECT (SELECT coalesce(sum(record_count), 0)::bigint FROM bulkport.import_chunks WHERE state <> 'done'),
           (SELECT count(*) FROM bulkport.all_jobs WHERE finished_at IS NULL)
"""

_LEFT: Final = """
    SELECT format('%s %s %s, %s attempts%s', count(*), task, state, max(runs),
                  CASE WHEN min(ready_at) > now() THEN format(', ready in %s', min(ready_at) - now()) END)
    FROM bulkport.jobs GROUP BY task, state ORDER BY task, state
"""
"""Unfinished jobs by task and state, with their blockers."""
_TELL_SECONDS: Final = 3.0
_LINE_SECONDS: Final = 10.0

SETTINGS: Final = {
    "COMMANDAPI_ENVIRONMENT": "production",
    "COMMANDAPI_LOG_LEVEL": "WARNING",
    # A smaller silence than the default makes more takeovers in the same time.
    "COMMANDAPI_WORKER_HEARTBEAT_SECONDS": "1",
    "COMMANDAPI_WORKER_STALLED_SECONDS": "4",
    "COMMANDAPI_CHUNK_BYTES": "100000",
    # The disk that is filled is PostgreSQL's; the watermark looks at where bodies wait.
    "COMMANDAPI_DISK_WATERMARK_BYTES": "0",
}
"""Of all processes."""


def run(options: Options, say: "Say") -> Ledger:
    """Do a run, and check it."""
    with (
        tempfile.TemporaryDirectory(prefix="commandapi-chaos-logs-") as folder,
        open_database(options.disk_bytes) as database,
    ):
        migrations.upgrade(database.url)
        with open_nursery() as nursery, open_fleet(nursery, Path(folder), {}) as fleet:
            with asyncio.Runner(loop_factory=event_loop_factory()) as runner:
                ledger = runner.run(_run(options, database, fleet, say))
            if ledger.violations:
                say(fleet.tails())
            return ledger


class Say:
    """Prints a line of progress."""

    def __call__(self, line: str) -> None: ...


async def _run(options: Options, database: ChaosDatabase, fleet: Fleet, say: Say) -> Ledger:
    ledger = Ledger()
    async with await database.open() as connection:
        await connection.execute(TABLES.encode())
        key = await create_key(connection, "chaos")
        cursor = await connection.execute(
            "INSERT INTO platforms (platform_name) VALUES (%s) RETURNING id", (REFERENCED_PLATFORM,)
        )
        row = await cursor.fetchone()
    assert row is not None
    async with open_proxy(database.connect) as database_proxy, open_proxy(fleet.connect) as api_proxy:
        proxied = database.proxied_url(database_proxy.port)
        fleet.environment.update(
            SETTINGS | options.settings | {"COMMANDAPI_DATABASE_URL": proxied, DIRECT_URL: database.url}
        )
        site = Site(database, fleet, api_proxy, database_proxy, chance_of(options.seed, "faults"))
        keeping = asyncio.create_task(fleet.keep(options.workers))
        try:
            await _until_ready(fleet)
            clients = Clients(options, ledger, f"http://127.0.0.1:{api_proxy.port}", key, row[0])
            await _break(options, ledger, site, clients, proxied, say)
            await _settle(options, ledger, database, clients, say)
            say("checking")
            async with await database.open() as connection, _direct(fleet, key) as client:
                await Checker(ledger, connection, client).check()
        finally:
            keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeping
    return ledger


def _direct(fleet: Fleet, key: str) -> httpx.AsyncClient:
    url = f"http://127.0.0.1:{fleet.api_port}"
    return httpx.AsyncClient(base_url=url, headers={"x-api-key": key}, timeout=60, trust_env=False)


async def _until_ready(fleet: Fleet) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        if fleet.api_port:
            with contextlib.suppress(httpx.HTTPError):
                async with httpx.AsyncClient(trust_env=False) as client:
                    if (await client.get(f"http://127.0.0.1:{fleet.api_port}/health/ready")).status_code == 200:
                        return
        await asyncio.sleep(0.05)
    raise TimeoutError(f"the API is not ready:\n{fleet.tails()}")


async def _break(  # noqa: PLR0917
    options: Options, ledger: Ledger, site: Site, clients: Clients, proxied: str, say: Say
) -> None:
    """Run clients, jobs and faults concurrently for the given time; then let open requests finish."""
    stop_faults, stop_clients = asyncio.Event(), asyncio.Event()
    kinds = list(options.faults or FAULTS)
    work = [
        *(
            asyncio.create_task(clients.run(chance_of(options.seed, f"client {number}"), stop_clients))
            for number in range(options.clients)
        ),
        asyncio.create_task(
            enqueue_jobs(proxied, ledger, chance_of(options.seed, "jobs"), options.jobs_per_second, stop_clients)
        ),
    ]
    faults = asyncio.create_task(inject(site, ledger, kinds, options.pause_seconds, stop_faults))
    began = told_at = time.monotonic()
    while (now := time.monotonic()) - began < options.seconds and not _is_enough(options, ledger):
        if now - told_at >= _LINE_SECONDS:
            told_at = now
            say(
                f"{now - began:.0f} s: {ledger.faults.total()} faults, "
                f"{len(ledger.entries)} imports, {_acknowledged(ledger):,} rows, {len(ledger.jobs)} jobs, "
                f"{ledger.ambiguous} lost responses, {len(ledger.violations)} violations"
            )
        await asyncio.sleep(0.1)
    stop_faults.set()
    await faults
    ledger.settle_seconds = -time.monotonic()
    with contextlib.suppress(psycopg.OperationalError):
        async with await site.database.open() as connection:
            row = await (await connection.execute(_BACKLOG.encode())).fetchone()
            ledger.backlog_rows, ledger.backlog_jobs = row or (0, 0)
    stop_clients.set()
    await asyncio.wait(work, timeout=options.settle_seconds)
    ledger.requests_seconds = ledger.settle_seconds + time.monotonic()
    say(f"requests under way at the last fault were answered after {ledger.requests_seconds:.1f} s")
    for task in work:
        task.cancel()
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            raise error


def _is_enough(options: Options, ledger: Ledger) -> bool:
    """Whether the run may end before its time."""
    if not options.enough_faults or ledger.faults.total() < options.enough_faults:
        return False
    rows = [entry.shipment.rows for entry in ledger.entries if entry.fate is Fate.ACCEPTED]
    return len(rows) >= options.enough_imports and sum(rows) >= options.enough_rows


def _acknowledged(ledger: Ledger) -> int:
    """Rows of the imports that were accepted."""
    return sum(entry.shipment.rows for entry in ledger.entries if entry.fate is Fate.ACCEPTED)


async def _settle(options: Options, ledger: Ledger, database: ChaosDatabase, clients: Clients, say: Say) -> None:
    """Wait until every import and job has ended, and measure how long that takes."""
    say("no more faults; waiting for what is left")
    deadline = time.monotonic() + options.settle_seconds
    told_at = 0.0
    while time.monotonic() < deadline:
        with contextlib.suppress(psycopg.OperationalError):
            async with await database.open() as connection:
                left = await (await connection.execute(_LEFT.encode())).fetchall()
            if not left:
                break
            if time.monotonic() - told_at >= _TELL_SECONDS:
                told_at = time.monotonic()
                say(
                    f"{ledger.settle_seconds + told_at:.0f} s after the last fault: {', '.join(row[0] for row in left)}"
                )
        await asyncio.sleep(0.1)
    ledger.settle_seconds += time.monotonic()
    try:
        async with asyncio.timeout(30):
            await clients.followed_to_the_end()
    except TimeoutError:
        ledger.violated("some imports were not seen to end")
        clients.cancel()


def new_seed() -> int:
    """A seed for a run that names none."""
    return random.SystemRandom().randrange(2**32)
