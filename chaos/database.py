"""A PostgreSQL server that the run may kill, and a disk that it may fill."""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import psutil
import psycopg

from bulkport import embedded
from bulkport.embedded import EmbeddedServer

_DATABASE: Final = "chaos"
_STOP_SECONDS: Final = 30.0


class ChaosDatabase:
    """The server of a folder."""

    def __init__(self, server: EmbeddedServer, disk: Path | None) -> None:
        self._server = server
        self.disk = disk
        """Folder of a file system of its own; None if none can be mounted."""

    @property
    def url(self) -> str:
        """Of the database, past every proxy."""
        return self._server.url

    @property
    def pid(self) -> int | None:
        """Process id of the server's main process."""
        return self._server.pid

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the server's socket, for a proxy."""
        folder = parse_qs(urlsplit(self._server.url).query)["host"][0]
        return await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.5432", limit=512 * 1024)

    def proxied_url(self, port: int) -> str:
        """The database's URL through a proxy on a port of this machine."""
        return f"postgresql://postgres@127.0.0.1:{port}/{_DATABASE}"

    async def stop(self, how: signal.Signals) -> None:
        """End the server: SIGINT is a fast, SIGQUIT an immediate shutdown, SIGKILL a crash."""
        pid = self._server.pid
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, how)
        deadline = asyncio.get_running_loop().time() + _STOP_SECONDS
        while self._server.is_running():
            if asyncio.get_running_loop().time() > deadline:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                deadline += _STOP_SECONDS
            await asyncio.sleep(0.02)

    def backends(self) -> list[psutil.Process]:
        """Processes of the server that serve clients."""
        if self._server.pid is None:
            return []
        with contextlib.suppress(psutil.NoSuchProcess):
            children = psutil.Process(self._server.pid).children()
            return [child for child in children if _serves_a_client(child)]
        return []

    async def kill_backend(self, chance: random.Random) -> None:
        """Kill one backend with SIGKILL; the server then ends all others and recovers."""
        if backends := await asyncio.to_thread(self.backends):
            with contextlib.suppress(psutil.NoSuchProcess):
                chance.choice(backends).kill()

    async def ensure_running(self) -> None:
        """Start the server unless it runs, as its supervisor would."""
        await asyncio.to_thread(self._server.ensure_running)

    @property
    def is_running(self) -> bool:
        """Whether its main process lives."""
        return self._server.is_running()

    async def open(self) -> psycopg.AsyncConnection[Any]:
        """A connection past every proxy."""
        return await psycopg.AsyncConnection.connect(self.url, autocommit=True)

    async def execute(self, statement: str) -> None:
        """Run statements on a connection of their own."""
        async with await self.open() as connection:
            await connection.execute(statement.encode())


def _serves_a_client(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return _DATABASE in " ".join(process.cmdline())
    return False


@contextmanager
def open_database(disk_bytes: int) -> Iterator[ChaosDatabase]:
    """A fresh server, on a small disk of its own where this user may mount one."""
    with tempfile.TemporaryDirectory(prefix="commandapi-chaos-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        mounted = _mount(folder / "disk", disk_bytes)
        try:
            data = folder / "disk" / "data" if mounted else folder / "data"
            with embedded.open_server(data, database=_DATABASE) as server:
                yield ChaosDatabase(server, folder / "disk" if mounted else None)
        finally:
            if mounted:
                subprocess.run(["umount", "--lazy", str(folder / "disk")], check=False, capture_output=True)


def _mount(folder: Path, size: int) -> bool:
    folder.mkdir()
    if os.geteuid() != 0:
        return False
    options = f"size={size},mode=755"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=False, capture_output=True
    )
    return done.returncode == 0
