"""Real processes of the Command API around one database, to be killed, stopped and started again by a test."""

import random
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx
import psutil
import psycopg
from chaos.nursery import Nursery

DEADLINE_SECONDS = 60.0

Found = TypeVar("Found")

HASTY = {"COMMANDAPI_WORKER_HEARTBEAT_SECONDS": "0.25", "COMMANDAPI_WORKER_STALLED_SECONDS": "1.0"}
"""A worker's death is soon noticed by the others."""


def until(condition: Callable[[], Found], what: str, *, seconds: float = DEADLINE_SECONDS) -> Found:
    """Wait until `condition` holds; returns what it returned."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain: {what}"
        time.sleep(0.02)
    return found


class CommandProcess:
    """One `commandapi` process."""

    def __init__(
        self, nursery: Nursery, folder: Path, arguments: tuple[str, ...], environment: Mapping[str, str]
    ) -> None:
        self.name = " ".join(arguments)
        number = len(list(folder.iterdir()))
        self._output = folder / f"{number}.stdout"
        self._errors = folder / f"{number}.stderr"
        self._errors.touch()
        self._output.touch()
        self.pid = nursery.start(arguments, environment, self._output, self._errors)
        self._process = psutil.Process(self.pid)

    @property
    def lives(self) -> bool:
        return self._process.is_running()

    @property
    def stdout(self) -> str:
        return self._output.read_text()

    @property
    def stderr(self) -> str:
        return self._errors.read_text()

    def kill(self) -> None:
        """End it at once and for good, as the kernel does when memory runs out."""
        self._process.kill()
        until(lambda: not self.lives, "a killed process to be gone")

    def freeze(self) -> None:
        """Suspend it with everything it holds."""
        self._process.suspend()

    def thaw(self) -> None:
        self._process.resume()

    def close(self) -> None:
        with suppress(psutil.NoSuchProcess):
            self._process.resume()
            self._process.terminate()
            deadline = time.monotonic() + 10
            while self.lives:
                if time.monotonic() > deadline:
                    self._process.kill()
                time.sleep(0.02)


class CommandServer(CommandProcess):
    """A `commandapi serve` process."""

    @property
    def url(self) -> str:
        found = re.search(r"^Command API: (http://\S+) ", self.stdout, re.MULTILINE)
        assert found is not None, self.stderr
        return found[1]

    def wait_until_ready(self) -> Self:
        until(lambda: "Command API: " in self.stdout or not self.lives, "the server to be ready")
        assert self.lives, self.stderr
        return self


class Site:
    """One test's database and the processes on it.

    Parameters
    ----------
    chance
        Where all randomness of the test comes from.
    """

    def __init__(self, nursery: Nursery, folder: Path, database_url: str, key: str, chance: random.Random) -> None:
        self._nursery = nursery
        self.database_url = database_url
        self.key = key
        self.chance = chance
        self.environment: dict[str, str] = {
            "COMMANDAPI_DATABASE_URL": database_url,
            "COMMANDAPI_LOG_LEVEL": "WARNING",
            "COMMANDAPI_LIGHT_WORKERS": "0",
            **HASTY,
        }
        """`COMMANDAPI_…` settings of every process."""
        self.processes: list[CommandProcess] = []
        self._folder = folder
        self._connection: psycopg.Connection[Any] | None = None

    def start_worker(self, **settings: object) -> CommandProcess:
        """Start a worker process; it needs a second or two before it takes jobs."""
        worker = CommandProcess(self._nursery, self._folder, ("worker",), self._environment(settings))
        self.processes.append(worker)
        return worker

    def start_server(self, *, workers: int = 0, **settings: object) -> CommandServer:
        """Start the API and wait until it answers."""
        arguments = ("serve", "--port", "0", "--workers", str(workers))
        server = CommandServer(self._nursery, self._folder, arguments, self._environment(settings))
        self.processes.append(server)
        return server.wait_until_ready()

    def client(self, server: CommandServer) -> httpx.Client:
        return httpx.Client(
            base_url=server.url, headers={"x-api-key": self.key}, trust_env=False, timeout=60, verify=False
        )

    def rows(self, statement: str, *arguments: object) -> list[Any]:
        """Run one statement."""
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(self.database_url, autocommit=True)
        cursor = self._connection.execute(statement.encode(), arguments or None)
        return cursor.fetchall() if cursor.description else []

    def reconnect(self) -> None:
        """Forget the connection, which a crash of the database has broken."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def value(self, statement: str, *arguments: object) -> Any:
        return self.rows(statement, *arguments)[0][0]

    def serving(self) -> set[int]:
        """Ids of the processes that may take jobs now."""
        return {row[0] for row in self.rows("SELECT process_id FROM bulkport.servers")}

    def kill_child(self, server: CommandServer, pid: int) -> None:
        """Kill a process that one of this site's servers has started."""
        (child,) = (child for child in psutil.Process(server.pid).children() if child.pid == pid)
        child.kill()

    def wait_for_workers(self, *workers: CommandProcess) -> None:
        wanted = {worker.pid for worker in workers}
        until(lambda: wanted <= self.serving(), "the workers to serve")

    def close(self) -> None:
        for process in self.processes:
            process.close()
        if self._connection is not None:
            self._connection.close()

    def last_words(self) -> str:
        """The end of each process's log, for the report of a failure."""
        return "\n".join(f"--- {p.name} (pid {p.pid})\n{p.stderr[-1500:]}" for p in self.processes)

    def _environment(self, settings: Mapping[str, object]) -> dict[str, str]:
        return {**self.environment, **{f"COMMANDAPI_{name.upper()}": str(value) for name, value in settings.items()}}


@contextmanager
def open_site(nursery: Nursery, database_url: str, key: str, chance: random.Random) -> Iterator[Site]:
    """A site; its processes end with the context."""
    with tempfile.TemporaryDirectory(prefix="commandapi-chaos-") as folder:
        site = Site(nursery, Path(folder), database_url, key, chance)
        try:
            yield site
        except BaseException as error:
            error.add_note(site.last_words())
            raise
        finally:
            site.close()
