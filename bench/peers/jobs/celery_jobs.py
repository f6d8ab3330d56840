"""Celery on Redis, which keeps nothing on disk here: that favours the peer."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from celery import Celery, group  # type: ignore[import-untyped]  # ships no types

from bench.peers.jobs.system import ORDER_ROW, ROW_TABLE, JobClient, mark, stamp

app = Celery("bench-jobs", broker=os.environ.get("BENCH_REDIS_URL"), backend=None)
app.conf.task_ignore_result = True


@app.task(name="nothing")  # type: ignore[untyped-decorator]  # ships no types
def nothing() -> None:
    """Do nothing."""
    mark()


@app.task(name="stamp")  # type: ignore[untyped-decorator]  # ships no types
def tell(sent: float) -> None:
    """Tell how long ago `sent` was."""
    stamp(sent)


class _Client:
    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    async def enqueue_one(self) -> None:
        nothing.delay()

    async def enqueue_many(self, count: int) -> None:
        with app.producer_pool.acquire(block=True) as producer:
            group(nothing.s() for _ in range(count)).apply_async(producer=producer)

    async def enqueue_with_row(self) -> None:
        self._connection.execute(ORDER_ROW)
        self._connection.commit()
        nothing.delay()

    async def enqueue_stamp(self, sent: float) -> None:
        tell.delay(sent)


class CeleryJobs:
    """See `JobSystem`."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def install(self) -> None:
        """See `JobSystem.install`."""
        app.control.purge()
        with psycopg.connect(self._url) as connection:
            connection.execute(ROW_TABLE)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[JobClient]:
        """See `JobSystem.client`."""
        with psycopg.connect(self._url) as connection:
            yield _Client(connection)

    def work(self) -> None:
        """See `JobSystem.work`."""
        flags = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        app.worker_main(["worker", "--concurrency", "1", "--loglevel", "warning", "-n", f"{os.getpid()}@%h", *flags])
