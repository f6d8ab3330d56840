"""Tasks that workers run besides imports and that record each of their runs."""

import asyncio
import os
from typing import Any, Final

import psycopg

from bulkport import Bulkport, JobContext, RetryPolicy

DIRECT_URL: Final = "CHAOS_DATABASE_URL"
"""Environment variable with the database's URL past every proxy."""

TABLES: Final = """
    CREATE TABLE chaos_sent (number bigint PRIMARY KEY, kind text NOT NULL);
    CREATE TABLE chaos_ran (number bigint NOT NULL, attempt integer NOT NULL, at timestamptz DEFAULT clock_timestamp());
"""
POISON_ATTEMPTS: Final = 3
_PATIENT: Final = RetryPolicy(max_attempts=10_000, base_seconds=0.2, max_seconds=2.0, max_lost_runs=None)


class Meant(Exception):
    """A failure that the task is for."""


async def _trace(number: int, context: JobContext) -> int:
    """Write that the job ran; returns how often it has by now."""
    async with await psycopg.AsyncConnection.connect(os.environ[DIRECT_URL], autocommit=True) as connection:
        await connection.execute("INSERT INTO chaos_ran (number, attempt) VALUES (%s, %s)", (number, context.attempt))
        cursor = await connection.execute("SELECT count(*) FROM chaos_ran WHERE number = %s", (number,))
        row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def plain(context: JobContext, number: int) -> int:
    """Task: run, and be done."""
    return await _trace(number, context)


async def slow(context: JobContext, number: int) -> None:
    """Task: take a while, so that faults meet it while it runs."""
    await _trace(number, context)
    await asyncio.sleep(0.5)


async def flaky(context: JobContext, number: int) -> None:
    """Task: fail the first two times."""
    if await _trace(number, context) < 3:
        raise Meant


async def poison(context: JobContext, number: int) -> None:
    """Task: fail always."""
    await _trace(number, context)
    raise Meant


def add_tasks(bulkport: Bulkport) -> dict[str, Any]:
    """Declare the tasks; returns them by name."""
    few = RetryPolicy(max_attempts=POISON_ATTEMPTS, base_seconds=0.1, max_seconds=0.5, max_lost_runs=None)
    return {
        "plain": bulkport.task(name="chaos.plain", queue="chaos", retry=_PATIENT)(plain),
        "slow": bulkport.task(name="chaos.slow", queue="chaos", retry=_PATIENT)(slow),
        "flaky": bulkport.task(name="chaos.flaky", queue="chaos", retry=_PATIENT)(flaky),
        "poison": bulkport.task(name="chaos.poison", queue="chaos", retry=few)(poison),
    }


def install() -> None:
    """Have this process's workers know the tasks, as an application with jobs of its own does."""
    from commandapi import composition

    build = composition.build_bulkport

    def build_with_tasks(settings: Any) -> Bulkport:
        bulkport = build(settings)
        add_tasks(bulkport)
        return bulkport

    composition.build_bulkport = build_with_tasks
