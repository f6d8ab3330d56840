"""Turns go to the user with the least work done."""

import asyncio
from itertools import pairwise

import pytest

from bulkport.imports.worker import fair_queue as turns_module
from bulkport.imports.worker.fair_queue import FairQueue


class _Clock:
    """Chunks take as long as the test says."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    clock = _Clock()
    monkeypatch.setattr(turns_module, "time", clock)
    return clock


async def _work(  # noqa: PLR0917
    fair_queue: FairQueue, clock: _Clock, user: str, chunks: int, seconds: float, log: list[str]
) -> None:
    for _ in range(chunks):
        async with fair_queue.turn(user):
            log.append(user)
            await asyncio.sleep(0)
            clock.now += seconds


async def test_a_newcomer_waits_for_one_chunk_at_most(clock: _Clock) -> None:
    fair_queue, log = FairQueue(1), list[str]()
    workers = [asyncio.create_task(_work(fair_queue, clock, "big", 50, 1.0, log)) for _ in range(5)]
    while len(log) < 20:
        await asyncio.sleep(0)
    arrived = len(log)
    await _work(fair_queue, clock, "small", 1, 0.1, log)
    assert log.index("small") <= arrived + 1
    await asyncio.gather(*workers)
    assert log.count("big") == 250


async def test_two_users_share_by_time_not_by_chunks(clock: _Clock) -> None:
    fair_queue, log = FairQueue(1), list[str]()
    # Two chunk workers each, so that both users always have one waiting.
    slow = [_work(fair_queue, clock, "slow", 50, 3.0, log) for _ in range(2)]
    quick = [_work(fair_queue, clock, "quick", 150, 1.0, log) for _ in range(2)]
    await asyncio.gather(*slow, *quick)
    share = log[: 2 * len(log) // 3]
    assert share.count("quick") * 1.0 == pytest.approx(share.count("slow") * 3.0, rel=0.1)


async def test_an_idle_user_accumulates_no_credit(clock: _Clock) -> None:
    fair_queue, log = FairQueue(1), list[str]()
    await _work(fair_queue, clock, "early", 1, 1.0, log)
    await _work(fair_queue, clock, "busy", 100, 1.0, log)
    both = [asyncio.create_task(_work(fair_queue, clock, user, 20, 1.0, log)) for user in ("early", "busy")]
    await asyncio.gather(*both)
    contested = log[101:]
    longest = current = 1
    for before, after in pairwise(contested[:20]):
        current = current + 1 if before == after else 1
        longest = max(longest, current)
    assert longest <= 2


async def test_concurrent_chunks_never_exceed_the_slots() -> None:
    fair_queue, at_work, most = FairQueue(2), 0, 0

    async def work(user: str) -> None:
        nonlocal at_work, most
        async with fair_queue.turn(user):
            at_work += 1
            most = max(most, at_work)
            await asyncio.sleep(0.001)
            at_work -= 1

    await asyncio.gather(*(work(f"user {number % 3}") for number in range(30)))
    assert most == 2


async def test_a_cancelled_waiter_gives_up_its_turn() -> None:
    fair_queue = FairQueue(1)
    async with fair_queue.turn("a"):
        waiting = asyncio.create_task(_hold(fair_queue, "b"))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(60), fair_queue.turn("c"):
        pass


async def test_a_waiter_cancelled_as_its_turn_comes_gives_it_up() -> None:
    fair_queue = FairQueue(1)
    async with fair_queue.turn("a"):
        waiting = asyncio.create_task(_hold(fair_queue, "b"))
        await asyncio.sleep(0)
    waiting.cancel()  # its turn has been granted, and it has not run since
    await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(60), fair_queue.turn("c"):
        pass


async def _hold(fair_queue: FairQueue, user: str) -> None:
    async with fair_queue.turn(user):
        await asyncio.Event().wait()
