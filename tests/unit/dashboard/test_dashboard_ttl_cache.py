"""Values that are read once in some seconds for all."""

import asyncio

import pytest

from bulkport.dashboard.core.cache import TTLCache


async def test_a_value_is_read_once_until_it_expires() -> None:
    now, reads = [0.0], list[str]()

    async def read(key: str) -> int:
        reads.append(key)
        return len(reads)

    kept = TTLCache(read, seconds=10, clock=lambda: now[0])
    assert await asyncio.gather(*(kept.get("a") for _ in range(5))) == [1] * 5
    assert await kept.get("b") == 2
    now[0] = 9.9
    assert await kept.get("a") == 1
    now[0] = 10
    assert await kept.get("a") == 3
    assert reads == ["a", "b", "a"]


async def test_a_failure_is_not_cached() -> None:
    answers = [ValueError("away"), None]

    async def read(key: str) -> str:
        if error := answers.pop(0):
            raise error
        return key

    kept = TTLCache(read, seconds=10)
    with pytest.raises(ValueError, match="away"):
        await kept.get("a")
    assert await kept.get("a") == "a"
