"""Background job systems as processes: fresh databases, workers, and programs that enqueue.

Every system runs the code of `bench/peers/jobs` in processes of its own, and is told to do the same.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import psycopg

from bench.dataset import PROJECT
from bench.redis import end

_PATIENCE_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 0.005
_WARM_UP_JOBS: Final = 200
_FIRST_PART: Final = 0.1
"""Of a burst, the part before the clock runs: it is still being enqueued, and workers are waking up."""


@dataclass(frozen=True, slots=True)
class JobSystemProcesses:
    """One system.

    Parameters
    ----------
    name
        As `bench.peers.jobs` knows it.
    database
        Its database's name.
    server_url
        The run's PostgreSQL.
    folder
        For what its jobs tell; see `bench/peers/jobs/system.py`.
    environment
        More for its processes.
    """

    name: str
    database: str
    server_url: str
    folder: Path
    environment: Mapping[str, str]

    @property
    def url(self) -> str:
        """Its database."""
        return urlunsplit(urlsplit(self.server_url)._replace(path=f"/{self.database}"))

    def install(self) -> None:
        """Give it a fresh database."""
        with psycopg.connect(self.server_url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {self.database} WITH (FORCE)")
            connection.execute(f"CREATE DATABASE {self.database}")
        self._program("install")

    def enqueue_rate(self, way: str, jobs: int) -> float:
        """Jobs enqueued a second, in one of the ways that `bench/peers/jobs` knows."""
        rate: float = self._program("enqueue", way, str(jobs))
        return rate

    def pickup_milliseconds(self, jobs: int) -> list[float]:
        """How long each of so many jobs took from its enqueueing to its first line, with one idle worker."""
        with self._workers(1):
            times: list[float] = self._program("pickup", str(jobs))
            return times

    def statistics_milliseconds(self, reads: int) -> list[float]:
        """How long each of so many reads of the statistics took, beside a worker that moves counts; the product's."""
        with self._workers(1):
            times: list[float] = self._program("statistics", str(reads))
            return times

    def run_rate(self, jobs: int, processes: int) -> float:
        """Jobs that do nothing run a second, of so many that are queued as fast as the system can."""
        with self._workers(processes) as marks, ThreadPoolExecutor(1) as beside:
            before = marks.count()
            # Celery runs them while they are still being queued.
            queueing = beside.submit(self._program, "burst", str(jobs))
            started = marks.wait_for(before + int(jobs * _FIRST_PART))
            first = marks.count()
            ended = marks.wait_for(before + jobs)
            queueing.result()
            return (before + jobs - first) / (ended - started)

    @contextmanager
    def _workers(self, processes: int) -> Iterator["_Marks"]:
        """Worker processes that have all run jobs."""
        marks = _Marks([self.folder / f"marks-{number}" for number in range(processes)])
        with ExitStack() as stack:
            log = stack.enter_context((self.folder / "log").open("ab"))
            for file in marks.files:
                file.write_bytes(b"")
                process = subprocess.Popen(
                    self._command("work"),
                    cwd=PROJECT,
                    env=self._environment() | {"BENCH_MARKS": str(file)},
                    stdout=log,
                    stderr=log,
                )
                stack.callback(end, process)
            deadline = time.monotonic() + _PATIENCE_SECONDS
            while not marks.are_in_every_file():
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{self.name}: a worker runs no jobs")
                before = marks.count()
                self._program("burst", str(_WARM_UP_JOBS))
                marks.wait_for(before + _WARM_UP_JOBS)
            yield marks

    def _program(self, action: str, *arguments: str) -> Any:
        done = subprocess.run(
            self._command(action, *arguments),
            cwd=PROJECT,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{self.name} {action}: {done.stderr[-2000:]}")
        return json.loads(done.stdout) if done.stdout else None

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "bench.peers.jobs", self.name, self.url, *arguments]

    def _environment(self) -> dict[str, str]:
        return os.environ | self.environment | {"BENCH_STAMPS": str(self.folder / "stamps")}


@dataclass(frozen=True, slots=True)
class _Marks:
    """The bytes that jobs of each worker have written."""

    files: Sequence[Path]

    def count(self) -> int:
        return sum(file.stat().st_size for file in self.files)

    def are_in_every_file(self) -> bool:
        return all(file.stat().st_size for file in self.files)

    def wait_for(self, count: int) -> float:
        """The time at which so many jobs have run."""
        deadline = time.perf_counter() + _PATIENCE_SECONDS
        while self.count() < count:
            if time.perf_counter() > deadline:
                raise RuntimeError(f"{self.count()} of {count} jobs ran")
            time.sleep(_POLL_SECONDS)
        return time.perf_counter()
