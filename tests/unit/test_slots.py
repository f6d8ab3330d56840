"""Slots go to the user with the fewest, however many requests of another user wait."""

import asyncio

import pytest

from bulkport.errors import ServiceUnavailable, TooManyRequests
from bulkport.slots import Slots


async def _turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_free_slot_goes_to_the_user_with_the_fewest() -> None:
    slots, got = Slots("places", in_all=4, per_user=4, wait_seconds=60), list[str]()

    async def take(user: str) -> None:
        await slots.take(user)
        got.append(user)

    tasks = [asyncio.create_task(take("eve")) for _ in range(10)]
    await _turns()
    tasks.append(asyncio.create_task(take("ada")))
    await _turns()
    assert got == ["eve"] * 4
    slots.give_back("eve")
    await _turns()
    assert got == ["eve"] * 4 + ["ada"]
    slots.give_back("ada")
    await _turns()
    assert got == ["eve"] * 4 + ["ada", "eve"]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for _ in range(4):
        slots.give_back("eve")
    assert slots.taken == 0


async def test_a_finished_wait_leaves_nothing_behind() -> None:
    slots = Slots("places", in_all=2, per_user=1, wait_seconds=0.01)
    async with slots.slot("eve"):
        with pytest.raises(TooManyRequests, match="limit of 1 concurrent places"):
            await slots.take("eve")
        async with slots.slot("ada"):
            with pytest.raises(ServiceUnavailable, match="limit of 2 concurrent places"):
                await slots.take("bob")
    assert slots.taken == 0
    async with slots.slot("bob"), slots.slot("eve"):
        assert slots.taken == 2
