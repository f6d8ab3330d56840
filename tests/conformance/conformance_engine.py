"""The engine under test: the only module of the suite that names one.

To hold another engine to the suite, give `engine_under_test` another answer.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg

from background_jobs import BackgroundJobs
from bulkport.jobs import EngineFactory, JobEngine
from bulkport.jobs.postgres import PostgresEngine

AnyConnection = psycopg.AsyncConnection[Any]


@dataclass(frozen=True)
class EngineUnderTest:
    """What the suite asks of an engine beyond its port: how it is made, and how time is made to pass for it."""

    factory: EngineFactory
    miss_ticks: Callable[[AnyConnection, str, timedelta], Awaitable[None]]
    """Make a recurring job look overdue by this much; servers notice it at once."""

    def application(self) -> BackgroundJobs:
        """The job calls of an application without tasks."""
        return BackgroundJobs(engine=self.factory)

    def port(self) -> JobEngine:
        """The port, without a pool: each call is given a connection."""
        return self.factory()


def engine_under_test() -> EngineUnderTest:
    """The engine that the suite is about."""
    return EngineUnderTest(PostgresEngine, _miss_ticks)


async def _miss_ticks(connection: AnyConnection, recurring_id: str, since: timedelta) -> None:
    await connection.execute(
        "UPDATE bulkport.recurring_jobs SET next_at = date_trunc('minute', clock_timestamp()) - %s::interval"
        " WHERE recurring_id = %s",
        (since, recurring_id),
    )
    await connection.execute("SELECT bulkport.notify_workers('recurring', '0')")
