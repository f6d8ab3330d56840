"""The processes of a run: an API behind a proxy, and workers, each restarted when it dies."""

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil

from chaos.nursery import Nursery

_START_SECONDS: Final = 60.0
_ADDRESS: Final = re.compile(r"^Command API: http://[^:]+:(\d+)", re.MULTILINE)


class Member:
    """One process."""

    def __init__(self, pid: int, log: Path) -> None:
        self.pid = pid
        self.log = log
        self.process = psutil.Process(pid)
        self.started_at = time.monotonic()

    @property
    def lives(self) -> bool:
        """Whether it runs."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return self.process.is_running() and self.process.status() != psutil.STATUS_ZOMBIE
        return False

    def kill(self) -> None:
        """End it at once, as the kernel does when memory runs out."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self.process.kill()

    def terminate(self) -> None:
        """Ask it to end, as a deployment does."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self.process.terminate()

    def freeze(self) -> None:
        """Suspend the process with everything it holds."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self.process.suspend()

    def thaw(self) -> None:
        """Let it go on, as if no time had passed."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self.process.resume()

    async def ended(self, seconds: float) -> bool:
        """Wait until it is gone; returns whether it is."""
        deadline = time.monotonic() + seconds
        while self.lives:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.02)
        return True


class Fleet:
    """All processes of a run.

    Parameters
    ----------
    environment
        Of all of them.
    """

    def __init__(self, nursery: Nursery, folder: Path, environment: Mapping[str, str]) -> None:
        self._nursery = nursery
        self._folder = folder
        self.environment = dict(environment)
        self.workers: list[Member] = []
        self.api: Member | None = None
        self.api_port = 0
        self.replaced: list[Member] = []
        """Those that another took the place of; a deployment ends its own."""
        self._started = 0
        self.strangers: list[subprocess.Popen[bytes]] = []
        """Processes that were not forked, such as those with another clock."""

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the API, for a proxy."""
        return await asyncio.open_connection("127.0.0.1", self.api_port, limit=512 * 1024)

    def start_worker(self) -> Member:
        """Start one more worker."""
        worker = self._start(("worker",))
        self.workers.append(worker)
        return worker

    async def start_api(self) -> Member:
        """Start an API and point the proxy at it once ready. The previous one keeps running."""
        api = self._start(("serve", "--port", "0", "--workers", "0"))
        deadline = time.monotonic() + _START_SECONDS
        while (found := _ADDRESS.search(api.log.with_suffix(".out").read_text())) is None:
            if not api.lives or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.02)
        if found is not None:
            if self.api is not None and self.api.lives:
                self.replaced.append(self.api)
            self.api, self.api_port = api, int(found[1])
        else:
            api.kill()
        return api

    def start_stranger(self, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        """Start a worker in a fresh process with its own environment."""
        with (self._folder / "stranger.err").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "chaos.worker"],
                cwd=Path(__file__).resolve().parents[1],
                env={**os.environ, **self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        self.strangers.append(process)
        return process

    async def keep(self, workers: int) -> None:
        """Restart dead processes until cancelled, like a supervisor."""
        while True:
            self.workers = [worker for worker in self.workers if worker.lives]
            while len(self.workers) < workers:
                self.start_worker()
            if self.api is None or not self.api.lives:
                await self.start_api()
            await asyncio.sleep(0.1)

    def close(self) -> None:
        """End everything."""
        members = [*self.workers, *self.replaced, *([self.api] if self.api else [])]
        for member in members:
            member.thaw()
            member.kill()
        for process in self.strangers:
            process.kill()
            process.wait()

    def tails(self) -> str:
        """Ends of the logs, for the report of a violation."""
        logs = sorted(self._folder.glob("*.err"), key=lambda path: path.stat().st_mtime)[-6:]
        return "\n".join(f"--- {log.name}\n{log.read_text(errors='replace')[-1500:]}" for log in logs)

    def _start(self, arguments: tuple[str, ...]) -> Member:
        self._started += 1
        log = self._folder / f"{self._started}-{arguments[0]}.err"
        for path in (log, log.with_suffix(".out")):
            path.touch()
        return Member(self._nursery.start(arguments, self.environment, log.with_suffix(".out"), log), log)


@contextmanager
def open_fleet(nursery: Nursery, folder: Path, environment: Mapping[str, str]) -> Iterator[Fleet]:
    """Processes, for as long as the context lasts."""
    fleet = Fleet(nursery, folder, environment)
    try:
        yield fleet
    finally:
        fleet.close()
