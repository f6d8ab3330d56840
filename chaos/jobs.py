"""The application's own jobs, each enqueued in a transaction with a row: both exist or neither does."""

import asyncio
import contextlib
import random

import psycopg

from bulkport import Bulkport
from chaos.application import add_tasks
from chaos.ledger import Ledger

_KINDS = {"plain": 70, "slow": 15, "flaky": 10, "poison": 5}


async def enqueue_jobs(url: str, ledger: Ledger, chance: random.Random, rate: float, stop: asyncio.Event) -> None:
    """Enqueue jobs at a mean rate until stopped, through connections that may break at any moment."""
    bulkport = Bulkport(url)
    tasks = add_tasks(bulkport)
    connection: psycopg.AsyncConnection[object] | None = None
    number = 0
    while not stop.is_set():
        number += 1
        (kind,) = chance.choices(list(_KINDS), list(_KINDS.values()))
        rolls_back = chance.random() < 0.1
        ledger.jobs[number] = "unknown"
        try:
            async with asyncio.timeout(10):
                if connection is None or connection.closed:
                    connection = await psycopg.AsyncConnection.connect(url, autocommit=True, connect_timeout=3)
                async with connection.transaction(force_rollback=rolls_back):
                    await connection.execute("INSERT INTO chaos_sent (number, kind) VALUES (%s, %s)", (number, kind))
                    await bulkport.enqueue(tasks[kind], number, connection=connection)
            ledger.jobs[number] = "rolled back" if rolls_back else "committed"
        except (psycopg.Error, OSError, TimeoutError):
            if rolls_back:
                ledger.jobs[number] = "rolled back"
            if connection is not None:
                connection.pgconn.finish()
            connection = None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), chance.expovariate(rate))
    if connection is not None:
        await connection.close()
