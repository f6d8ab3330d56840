"""A worker server runs its engine again whatever ends it, until it is stopped."""

import asyncio
from collections.abc import Callable

import psycopg
import pytest

from background_jobs import BackgroundJobs
from bulkport.jobs import WorkerOptions
from bulkport.jobs.errors import WorkerLost
from bulkport.jobs.postgres import PostgresEngine
from bulkport.jobs.worker import WorkerServer, new_server_name


class _Failing(PostgresEngine):
    """Runs of a worker that end as specified, and then run until stopped."""

    def __init__(self, *ends: Callable[[], None]) -> None:
        super().__init__()
        self._ends = list(ends)
        self.names: list[str] = []

    async def run_worker(self, options: WorkerOptions, stop: asyncio.Event) -> None:
        self.names.append(options.server_name)
        if self._ends:
            self._ends.pop(0)()
        else:
            stop.set()


def _raises(error: Exception) -> Callable[[], None]:
    def end() -> None:
        raise error

    return end


@pytest.mark.parametrize(
    "end",
    [_raises(WorkerLost()), _raises(psycopg.OperationalError("away")), _raises(ZeroDivisionError()), lambda: None],
)
async def test_a_worker_that_ends_unexpectedly_is_restarted(end: Callable[[], None]) -> None:
    engine = _Failing(end)
    await WorkerServer(engine, WorkerOptions("", "me")).run(asyncio.Event())
    assert engine.names == ["me", "me"]


async def test_a_worker_that_cannot_run_can_be_stopped_while_it_waits() -> None:
    stop = asyncio.Event()

    def end() -> None:
        asyncio.get_running_loop().call_soon(stop.set)
        raise psycopg.OperationalError("away")

    engine = _Failing(end, _raises(AssertionError("run again")))
    await WorkerServer(engine, WorkerOptions("", "me")).run(stop)
    assert len(engine.names) == 1


def test_every_generated_name_is_new() -> None:
    assert new_server_name() != new_server_name()


def test_death_cannot_be_detected_faster_than_three_heartbeats() -> None:
    with pytest.raises(ValueError, match="three times"):
        WorkerOptions("", "me", heartbeat_seconds=1, stalled_seconds=2.9)


async def test_the_worker_of_another_schema_works_there() -> None:
    seen: list[str] = []

    class Engine(PostgresEngine):
        async def run_worker(self, options: WorkerOptions, stop: asyncio.Event) -> None:
            seen.append(options.schema)
            stop.set()

    await BackgroundJobs(engine=Engine, schema="etl").run_worker("postgresql://localhost/unused", asyncio.Event())
    assert seen == ["etl"]
