"""Real `commandapi` processes, each with a data folder of its own, none of which outlives its test."""

import atexit
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Self

import httpx
import psutil
from chaos.nursery import Files, Nursery, open_nursery

from bulkport import embedded
from commandapi import migrations

DEADLINE_SECONDS = 150.0


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


@cache
def _nursery() -> Nursery:
    """Where the commands of this process's tests come from: a new process each, without a second of imports."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(open_nursery())


def commandapi(
    *arguments: str, data_dir: Path, extra: Mapping[str, str] | None = None, stdin: bytes | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run one command to its end."""
    with tempfile.TemporaryDirectory(prefix="commandapi-command-") as folder:
        files = Files.in_folder(Path(folder))
        files.input.write_bytes(stdin or b"")
        process = psutil.Process(_nursery().start_with(arguments, environment(data_dir, extra), files))
        until(lambda: files.status.exists() or not process.is_running(), f"commandapi {' '.join(arguments)} to end")
        until(lambda: not process.is_running(), f"commandapi {' '.join(arguments)} to be gone")
        assert files.status.exists(), files.errors.read_text()
        return subprocess.CompletedProcess(
            arguments, int(files.status.read_text()), files.output.read_text("utf-8"), files.errors.read_text("utf-8")
        )


class RunningServer:
    """A `commandapi serve` process."""

    def __init__(self, data_dir: Path, arguments: tuple[str, ...], extra: Mapping[str, str] | None) -> None:
        self.data_dir = data_dir
        self._folder = Path(tempfile.mkdtemp(prefix="commandapi-serve-"))
        self._output = self._folder / "stdout"
        self._errors = self._folder / "stderr"
        with self._output.open("wb") as output, self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "commandapi", "serve", "--port", "0", *arguments],
                env=environment(data_dir, extra),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )

    @property
    def stdout(self) -> str:
        return self._output.read_text()

    @property
    def stderr(self) -> str:
        return self._errors.read_text()

    @property
    def url(self) -> str:
        found = re.search(r"^Command API: (http://\S+) ", self.stdout, re.MULTILINE)
        assert found is not None, self.stderr
        return found[1]

    @property
    def workers(self) -> set[int]:
        """Process ids of the workers that run now."""
        children = psutil.Process(self.process.pid).children()
        return {child.pid for child in children if child.status() != psutil.STATUS_ZOMBIE}

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
        return httpx.Client(base_url=self.url, headers={"x-api-key": key}, trust_env=False, timeout=30)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        return self.process.wait(DEADLINE_SECONDS)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(DEADLINE_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


@cache
def _made_data_dir() -> Path:
    """A data folder with a migrated database, made once a process, to be copied."""
    folder = Path(tempfile.mkdtemp(prefix="commandapi-made-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with embedded.open_server(folder / "data") as server:
        migrations.upgrade(server.url)
    return folder / "data"


def make_data_dir(data_dir: Path) -> None:
    """Put a migrated database there, in a twentieth of the time of a first start."""
    made = _made_data_dir()
    data_dir.parent.chmod(0o711)  # PostgreSQL runs as another user when root runs the tests
    subprocess.run(["cp", "-a", str(made), str(data_dir)], check=True)


@contextmanager
def temporary_data_dir(*, is_made: bool = False) -> Iterator[Path]:
    """A data folder whose database is stopped at the end, whoever left it running."""
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
