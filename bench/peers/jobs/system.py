"""The interface of a compared job system, and how its jobs report back."""

import os
import socket
import struct
import time
from contextlib import AbstractAsyncContextManager
from functools import cache
from typing import Final, Protocol, runtime_checkable

CONCURRENCY: Final = 20
"""Jobs that one worker process runs at a time; Celery's processes run one."""
ORDER_ROW: Final = "INSERT INTO bench_orders (note) VALUES ('an order')"
"""Other work of a caller's transaction besides enqueueing."""
ROW_TABLE: Final = "CREATE TABLE bench_orders (id bigserial PRIMARY KEY, note text NOT NULL)"

_STAMP: Final = struct.Struct("d")


class JobClient(Protocol):
    """Enqueues jobs, by connections that are open already."""

    async def enqueue_one(self) -> None:
        """Enqueue a job that does nothing, in a transaction of its own."""
        ...

    async def enqueue_many(self, count: int) -> None:
        """Enqueue so many in one call."""
        ...

    async def enqueue_with_row(self) -> None:
        """Insert a row and enqueue a job in one transaction; Celery, which cannot, one after the other."""
        ...

    async def enqueue_stamp(self, sent: float) -> None:
        """Enqueue a job that reports its latency since `sent`, a reading of `time.perf_counter`."""
        ...


@runtime_checkable
class StatisticsClient(Protocol):
    """Reads how many jobs there are and how they fare; the product alone has such numbers."""

    async def read_statistics(self) -> None:
        """Read them once."""
        ...


class JobSystem(Protocol):
    """One system on one database or broker."""

    async def install(self) -> None:
        """Make its tables, and `ROW_TABLE`."""
        ...

    def client(self) -> AbstractAsyncContextManager[JobClient]:
        """A client, for as long as the context lasts."""
        ...

    def work(self) -> None:
        """Run a worker until SIGTERM."""
        ...


def mark() -> None:
    """What a job does that does nothing: one byte for the measure to count."""
    os.write(_marks(), b".")


def stamp(sent: float) -> None:
    """Tell how long ago `sent` was. The clock is the machine's, the same in every process."""
    seconds = time.perf_counter() - sent
    _stamps().sendto(_STAMP.pack(seconds), os.environ["BENCH_STAMPS"])


def read_stamp(receiver: socket.socket) -> float:
    """Wait for and return the next seconds reported."""
    (seconds,) = _STAMP.unpack(receiver.recv(_STAMP.size))
    return float(seconds)


@cache
def _marks() -> int:
    return os.open(os.environ["BENCH_MARKS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


@cache
def _stamps() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
