"""All server processes together let a user send as many requests as one user may."""

import asyncio

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from bulkport.errors import TooManyRequests
from bulkport.pools import AsyncPool, open_pool
from commandapi.auth.rate_limit import RateLimiter


class Clock:
    """A process's clock, which the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def _sent(limiter: RateLimiter, pool: AsyncPool, times: int, user: str = "ann") -> int:
    """How many of so many requests, sent at once, are let through."""
    answers = await asyncio.gather(*(limiter.take(user, pool) for _ in range(times)), return_exceptions=True)
    assert all(answer is None or isinstance(answer, TooManyRequests) for answer in answers), answers
    return answers.count(None)


async def test_two_processes_share_one_rate_limit(database_url: str) -> None:
    clock = Clock()
    first, second = RateLimiter(1000, clock=clock), RateLimiter(1000, clock=clock)
    async with open_pool(database_url, name="keys", most=2) as pool:
        async with pool.connection() as connection:  # time stands still for the bucket
            await connection.execute(
                "INSERT INTO request_allowances VALUES ('ann', 1000, 0, now() + interval '1 hour')"
            )
        let_through = await asyncio.gather(_sent(first, pool, 800), _sent(second, pool, 800))
        assert sum(let_through) == 1000
        assert min(let_through) > 100
        assert first.refused + second.refused == 600
        assert await _sent(first, pool, 5, "bob") == 5
        # Who is refused asks the bucket again once there can be more in it, and not before.
        async with pool.connection() as connection:
            await connection.execute("UPDATE request_allowances SET at = now() - interval '3 s' WHERE user_id = 'ann'")
        assert await _sent(first, pool, 5) == 0
        clock.now += 0.1
        assert 50 <= await _sent(first, pool, 100) <= 70


async def test_unused_tokens_of_a_process_expire(database_url: str) -> None:
    clock = Clock()
    limiter = RateLimiter(1000, clock=clock)
    async with open_pool(database_url, name="keys", most=1) as pool:
        assert await _sent(limiter, pool, 1) == 1
        async with pool.connection() as connection:
            await connection.execute("UPDATE request_allowances SET remaining = 0, at = now() + interval '1 hour'")
        assert await _sent(limiter, pool, 1) == 1
        clock.now += 11
        assert await _sent(limiter, pool, 1) == 0


async def test_a_rejection_says_when_to_retry(database_url: str) -> None:
    limiter = RateLimiter(2)
    async with open_pool(database_url, name="keys", most=1) as pool:
        assert await _sent(limiter, pool, 2) == 2
        with pytest.raises(TooManyRequests) as refused:
            await limiter.take("ann", pool)
        assert 1 <= (refused.value.retry_after or 0) <= 30


async def test_processes_count_on_their_own_when_the_database_is_read_only(database_url: str) -> None:
    read_only = make_conninfo(database_url, options="-c default_transaction_read_only=on")
    limiter = RateLimiter(600, clock=Clock())
    async with open_pool(read_only, name="keys", most=1) as pool:
        assert await _sent(limiter, pool, 10) == 10


async def test_buckets_never_exceed_their_capacity(database_url: str) -> None:
    limiter = RateLimiter(100, clock=Clock())
    async with open_pool(database_url, name="keys", most=1) as pool:
        assert await _sent(limiter, pool, 1) == 1
        async with pool.connection() as connection:
            await connection.execute("UPDATE request_allowances SET at = now() - interval '1 day'")
        assert await _sent(limiter, pool, 150) == 100
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        row = await (await connection.execute("SELECT remaining < 1 FROM request_allowances")).fetchone()
        assert row == (True,)
