"""The product as users run it: `commandapi serve` with two worker processes and a light one."""

import os
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.connection import Connection, Server, UnexpectedResponseError
from bench.dataset import PROJECT

WORKERS = 2
_START_PATIENCE_SECONDS = 60.0
_STOP_PATIENCE_SECONDS = 30.0
_ADDRESS = re.compile(r"http://(127\.0\.0\.1|localhost):(\d+)")


@dataclass(frozen=True, slots=True)
class Product:
    """A running server, its processes by role, and one user's key in `server`."""

    server: Server
    other_user: Server
    processes: dict[str, int]
    """Pid of `serve` (when it is not the API itself), `api`, `worker 1`, `worker 2`, `worker, light`."""


class ProductInstallation:
    """The `commandapi` command on one database; in development, the dashboard is open."""

    def __init__(self, database_url: str, log: Path, environment: str = "production") -> None:
        self._environment = os.environ | {
            "COMMANDAPI_DATABASE_URL": database_url,
            "COMMANDAPI_ENVIRONMENT": environment,
            "COMMANDAPI_DASHBOARD_OPEN": str(environment == "development").lower(),
        }
        self._log = log
        self._keys: dict[str, str] = {}

    def migrate(self) -> None:
        """Create the tables."""
        self._run("db", "upgrade")

    def key(self, user: str) -> str:
        """An API key of the user, made once."""
        if user not in self._keys:
            self._keys[user] = self._run("keys", "create", "--user", user).strip()
        return self._keys[user]

    @contextmanager
    def serve(self) -> Iterator[Product]:
        """Run the product until the block ends.

        Raises
        ------
        UnexpectedResponseError
            If it is not ready within a minute; the message shows the end of its log.
        """
        key, other_key = self.key("bench-user"), self.key("bench-other-user")
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                [*_command(), "serve", "--host", "127.0.0.1", "--port", "0", "--workers", str(WORKERS)],
                cwd=PROJECT,
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
            try:
                host, port = self._address(process)
                server = Server(host, port, key)
                _wait_until_ready(server)
                yield Product(server, Server(host, port, other_key), _processes(process.pid, port))
            finally:
                _stop(process)

    def _address(self, process: "subprocess.Popen[bytes]") -> tuple[str, int]:
        """Read standard output until it names the address, and keep draining it afterwards."""
        lines: queue.Queue[str] = queue.Queue()

        def drain() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                lines.put(line.decode(errors="replace"))
            lines.put("")

        threading.Thread(target=drain, name="serve-output", daemon=True).start()
        deadline = time.monotonic() + _START_PATIENCE_SECONDS
        while time.monotonic() < deadline:
            try:
                line = lines.get(timeout=1)
            except queue.Empty:
                continue
            if found := _ADDRESS.search(line):
                return "127.0.0.1", int(found[2])
            if not line:
                break
        tail = self._log.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise UnexpectedResponseError(f"commandapi serve named no address; its log ends with:\n{tail}")

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [*_command(), *arguments],
            cwd=PROJECT,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode:
            raise UnexpectedResponseError(f"commandapi {' '.join(arguments)}: {done.stderr[-2000:]}")
        return done.stdout


def _command() -> list[str]:
    return [str(Path(sys.executable).with_name("commandapi"))]


def _wait_until_ready(server: Server) -> None:
    deadline = time.monotonic() + _START_PATIENCE_SECONDS
    while True:
        try:
            with Connection(server) as connection:
                if connection.get("/health/ready").status == 200:
                    return
        except (OSError, UnexpectedResponseError):
            if time.monotonic() > deadline:
                raise
        if time.monotonic() > deadline:
            raise UnexpectedResponseError("commandapi serve is not ready")
        time.sleep(0.05)


def _processes(pid: int, port: int) -> dict[str, int]:
    """Name the processes below `pid`: the one that listens on the port is the API, `worker_process` is a worker."""
    deadline = time.monotonic() + _START_PATIENCE_SECONDS
    while True:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        roles: dict[str, int] = {}
        for process in family:
            listens = any(
                connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
                for connection in process.net_connections("tcp")
            )
            arguments = process.cmdline()
            if "commandapi.light_worker" in arguments:
                roles["worker, light"] = process.pid
            elif "commandapi.worker_process" in arguments:
                roles[f"worker {sum(name.startswith('worker') for name in roles) + 1}"] = process.pid
            elif listens and process.pid != pid:
                roles["api"] = process.pid
            elif process.pid == pid:
                roles["serve"] = process.pid
        if "api" not in roles and "serve" in roles:
            roles["api"] = roles.pop("serve")
        if sum(name.startswith("worker") for name in roles) == WORKERS + 1:
            return roles
        if time.monotonic() > deadline:
            raise UnexpectedResponseError(f"serve started {roles}, not an API and {WORKERS} workers and a light one")
        time.sleep(0.1)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Stop `serve` with its children; kill remaining processes after a grace period."""
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    process.terminate()
    try:
        process.wait(_STOP_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in family:
        if child.is_running():
            child.kill()
    psutil.wait_procs(family, timeout=5)
