"""Real `commandapi` processes, each with a data folder of its own, none of which outlives its test."""

import atexit
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Self

import httpx
import psutil
import psycopg
from chaos.nursery import Files

from bulkport import embedded
from commandapi import migrations
from forked_processes import ForkedProcess, nursery

DEADLINE_SECONDS = 150.0
COMMANDAPI = ("-c", "from commandapi.cli.main import main\nmain()")
"""Arguments of a Python process that is the command."""


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:  # it has ended just now
        return False


def until(condition: Callable[[], object], what: str, *, seconds: float = DEADLINE_SECONDS) -> None:
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain: {what}"
        time.sleep(0.02)


def environment(data_dir: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a `commandapi` process: no settings but these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COMMANDAPI_")}
    return {**kept, "COMMANDAPI_DATA_DIR": str(data_dir), "PYTHONUNBUFFERED": "1", **(extra or {})}


def commandapi(
    *arguments: str, data_dir: Path, extra: Mapping[str, str] | None = None, stdin: bytes | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run one command to its end."""
    with tempfile.TemporaryDirectory(prefix="commandapi-command-") as folder:
        files = Files.in_folder(Path(folder))
        files.input.write_bytes(stdin or b"")
        process = psutil.Process(nursery().start_with(arguments, environment(data_dir, extra), files))
        until(lambda: files.status.exists() or not process.is_running(), f"commandapi {' '.join(arguments)} to end")
        until(lambda: not process.is_running(), f"commandapi {' '.join(arguments)} to be gone")
        assert files.status.exists(), files.errors.read_text()
        return subprocess.CompletedProcess(
            arguments, int(files.status.read_text()), files.output.read_text("utf-8"), files.errors.read_text("utf-8")
        )


class RunningServer:
    """A `commandapi serve` process.

    Parameters
    ----------
    before
        Statements that it carries out first.
    """

    def __init__(
        self, data_dir: Path, arguments: tuple[str, ...], extra: Mapping[str, str] | None, *, before: str = ""
    ) -> None:
        self.data_dir = data_dir
        option, program = COMMANDAPI
        serve = (option, f"{before}\n{program}", "serve", "--port", "0", *arguments)
        # A process less to start: the test of light workers says otherwise.
        extra = {"COMMANDAPI_LIGHT_WORKERS": "0", **(extra or {})}
        self.process = ForkedProcess(serve, environment=environment(data_dir, extra))

    @property
    def stdout(self) -> str:
        return self.process.stdout

    @property
    def stderr(self) -> str:
        return self.process.stderr

    @property
    def url(self) -> str:
        found = re.search(r"^Command API: (http://\S+) ", self.stdout, re.MULTILINE)
        assert found is not None, self.stderr
        return found[1]

    @property
    def workers(self) -> set[int]:
        """Process ids of the workers that run now."""
        children = psutil.Process(self.process.pid).children()
        return {child.pid for child in children if _lives(child)}

    @property
    def database_pid(self) -> int:
        return int((self.data_dir / "postgres" / "postmaster.pid").read_text().split()[0])

    def wait_until_ready(self) -> Self:
        until(lambda: "Command API: " in self.stdout or self.process.poll() is not None, "the server to be ready")
        assert self.process.poll() is None, self.stderr
        return self

    def make_key(self, user: str = "ada") -> str:
        done = commandapi("keys", "create", "--user", user, data_dir=self.data_dir)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def client(self, key: str) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"x-api-key": key}, trust_env=False, timeout=60)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        return self.process.wait(DEADLINE_SECONDS)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(DEADLINE_SECONDS)
        self.process.close()


@cache
def _made_data_dir() -> Path:
    """A data folder with a migrated database, made once a process, to be copied."""
    folder = Path(tempfile.mkdtemp(prefix="commandapi-made-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with embedded.open_server(folder / "data") as server:
        migrations.upgrade(server.url)
        with psycopg.connect(server.url, autocommit=True) as connection:
            # What dies here are processes, not machines: nothing need wait for the disk.
            connection.execute("ALTER SYSTEM SET fsync = off")
    return folder / "data"


def make_data_dir(data_dir: Path) -> None:
    """Put a migrated database there, in a twentieth of the time of a first start."""
    made = _made_data_dir()
    data_dir.parent.chmod(0o711)  # PostgreSQL runs as another user when root runs the tests
    subprocess.run(["cp", "-a", str(made), str(data_dir)], check=True)


@contextmanager
def temporary_data_dir(*, is_made: bool = False) -> Iterator[Path]:
    """A data folder whose database is stopped at the end."""
    folder = Path(tempfile.mkdtemp(prefix="commandapi-test-"))
    data_dir = folder / "data"
    if is_made:
        make_data_dir(data_dir)
    try:
        yield data_dir
    finally:
        if (data_dir / "postgres" / "postmaster.pid").exists():
            with embedded.open_server(data_dir):
                pass
        shutil.rmtree(folder)
