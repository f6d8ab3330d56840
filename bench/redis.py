"""Redis as Celery's users run it, for one measure."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

REDIS_HINT: Final = "redis-server is not installed (Debian: apt-get install redis-server)"
_START_PATIENCE_SECONDS: Final = 10.0
_STOP_PATIENCE_SECONDS: Final = 20.0


@contextmanager
def redis(folder: Path) -> Iterator[str | None]:
    """Run a Redis that keeps nothing on disk; yields its URL, or None if it is not installed."""
    program = shutil.which("redis-server")
    if program is None:
        yield None
        return
    port = _free_port()
    folder.mkdir()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", ""], stdout=log
        )
        try:
            _wait_for_port(port)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            end(process)


def end(process: "subprocess.Popen[bytes]") -> None:
    """Ask a process to end; kill it if it does not."""
    process.terminate()
    try:
        process.wait(_STOP_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + _START_PATIENCE_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
