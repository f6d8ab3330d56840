"""`python -m bench.peers.jobs SYSTEM URL ACTION …`: runs one action and prints its measurement as JSON."""

import asyncio
import importlib
import json
import os
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import uvloop

from bench.peers.jobs.system import JobClient, JobSystem, StatisticsClient, read_stamp

_SYSTEMS: Final = {
    "bulkport": ("bench.peers.jobs.bulkport_jobs", "BulkportJobs"),
    "bare": ("bench.peers.jobs.bare", "Bare"),
    "pgqueuer": ("bench.peers.jobs.pgqueuer_jobs", "PgQueuerJobs"),
    "celery": ("bench.peers.jobs.celery_jobs", "CeleryJobs"),
}
_BATCH: Final = 1000
_WARM_UP: Final = 20
_IDLE_SECONDS: Final = 0.02
"""Pause between two timed jobs, so that the worker is idle."""
_STAMP_PATIENCE_SECONDS: Final = 10.0


async def enqueue(client: JobClient, way: str, count: str) -> float:
    """Jobs a second: one by one, each in a transaction with one row, or a thousand a call."""
    if way == "batch":
        return _BATCH * await _rate(lambda: client.enqueue_many(_BATCH), max(2, int(count) // 100))
    return await _rate({"single": client.enqueue_one, "transaction": client.enqueue_with_row}[way], int(count))


async def _rate(act: Callable[[], Awaitable[None]], times: int) -> float:
    """Times a second, warmed up."""
    for _ in range(min(_WARM_UP, times)):
        await act()
    started = time.perf_counter()
    for _ in range(times):
        await act()
    return times / (time.perf_counter() - started)


async def burst(client: JobClient, count: str) -> None:
    """Enqueue at once."""
    await client.enqueue_many(int(count))


async def pickup(client: JobClient, count: str) -> list[float]:
    """Milliseconds from before a job is enqueued to its first line, one job at a time."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        path = Path(os.environ["BENCH_STAMPS"])
        path.unlink(missing_ok=True)
        receiver.bind(str(path))
        receiver.settimeout(_STAMP_PATIENCE_SECONDS)
        found = []
        for _ in range(_WARM_UP + int(count)):
            await client.enqueue_stamp(time.perf_counter())
            found.append(read_stamp(receiver) * 1000)
            await asyncio.sleep(_IDLE_SECONDS)
        return found[_WARM_UP:]


async def statistics(client: JobClient, count: str) -> list[float]:
    """Milliseconds of each read of the statistics, in the product."""
    assert isinstance(client, StatisticsClient)
    found = []
    for _ in range(_WARM_UP + int(count)):
        started = time.perf_counter()
        await client.read_statistics()
        found.append((time.perf_counter() - started) * 1000)
        await asyncio.sleep(_IDLE_SECONDS)
    return found[_WARM_UP:]


_ACTIONS: Final = {"enqueue": enqueue, "burst": burst, "pickup": pickup, "statistics": statistics}


def main(name: str, url: str, action: str, *arguments: str) -> None:
    """Carry out one action."""
    module, kind = _SYSTEMS[name]
    system: JobSystem = getattr(importlib.import_module(module), kind)(url)
    if action == "work":
        system.work()
    elif action == "install":
        uvloop.run(system.install())
    else:
        print(json.dumps(uvloop.run(_with_client(system, action, arguments))))


async def _with_client(system: JobSystem, action: str, arguments: tuple[str, ...]) -> object:
    async with system.client() as client:
        return await _ACTIONS[action](client, *arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
