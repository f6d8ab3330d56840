"""Chores: each in its own rhythm, none ending another."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import psycopg

from bulkport.jobs.postgres.maintenance import Chore, Chores

Run = Callable[[], Awaitable[float | None]]


class Counted:
    """A maintenance task that counts its runs and follows `wishes[n]` in the n-th; the last one from then on."""

    def __init__(self, *wishes: float | BaseException | None) -> None:
        self._wishes = wishes
        self.runs = 0

    async def __call__(self) -> float | None:
        wish = self._wishes[min(self.runs, len(self._wishes) - 1)]
        self.runs += 1
        if isinstance(wish, BaseException):
            raise wish
        return wish

    async def reach(self, runs: int) -> None:
        async with asyncio.timeout(60):
            while self.runs < runs:
                await asyncio.sleep(0.005)


@asynccontextmanager
async def doing(interval: float, **chores: Run) -> AsyncIterator[Chores]:
    chores = Chores(Chore(name, interval, run) for name, run in chores.items())
    working = asyncio.create_task(chores.run())
    try:
        yield chores
    finally:
        working.cancel()
        await asyncio.wait({working})


async def test_a_maintenance_task_runs_at_once_and_then_at_its_interval() -> None:
    often, seldom = Counted(None), Counted(None)
    async with doing(0.01, often=often), doing(60, seldom=seldom):
        await often.reach(5)
    assert seldom.runs == 1


async def test_a_failing_maintenance_task_is_retried_and_stops_no_other() -> None:
    failing = Counted(psycopg.OperationalError("away"), ValueError("bug"), None)
    other = Counted(None)
    async with doing(0.01, failing=failing, other=other):
        await failing.reach(4)
        await other.reach(4)


async def test_a_maintenance_task_can_ask_to_run_sooner_but_not_later() -> None:
    sooner, later = Counted(0.0, 0.0, None), Counted(60.0)
    async with doing(60, sooner=sooner), doing(0.01, later=later):
        await sooner.reach(3)
        await later.reach(3)
    assert sooner.runs == 3


async def test_a_maintenance_task_can_be_hurried_while_it_runs() -> None:
    hurried = Counted(None)
    entered, leave = asyncio.Event(), asyncio.Event()
    runs = 0

    async def slow() -> None:
        nonlocal runs
        runs += 1
        entered.set()
        await leave.wait()

    async with doing(60, hurried=hurried, slow=slow) as chores:
        await hurried.reach(1)
        chores.hurry("hurried", 0.01)
        await hurried.reach(2)
        chores.hurry("hurried", 0)
        await hurried.reach(3)
        await entered.wait()
        chores.hurry("slow", 0)
        chores.hurry("unknown", 0)
        leave.set()
        async with asyncio.timeout(60):
            while runs < 2:
                await asyncio.sleep(0.005)
    assert hurried.runs == 3
