"""A page that is slow to load is looked at more rarely."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from bulkport.dashboard.core.render import Fragment
from bulkport.dashboard.core.sse.hub import Hub


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("fails", [False, True])
async def test_a_slow_poll_is_followed_by_a_pause_nine_times_as_long(fails: bool) -> None:
    now = 100.0
    slow_looks = quick_looks = 0

    async def slow() -> Sequence[Fragment]:
        nonlocal now, slow_looks
        slow_looks += 1
        now += 2
        if fails:
            raise ValueError("the database gave up")
        return []

    async def quick() -> Sequence[Fragment]:
        nonlocal quick_looks
        quick_looks += 1
        return []

    hub = Hub(is_stopping=lambda: False, clock=lambda: now)
    with hub.watching("slow", slow), hub.watching("quick", quick, every=0):
        await until(lambda: slow_looks == 1)
        now = 119.0
        seen = quick_looks
        await until(lambda: quick_looks >= seen + 2)
        assert slow_looks == 1
        now = 121.0
        await until(lambda: slow_looks == 2)
