"""Where processes come from that are killed by the dozen: one that has imported the Command API, and forks.

Each is a process of its own that runs the command line from its beginning, as `python -m commandapi` does; but the
imports, which cost a busy machine seconds, were made once. A run, or the tests, start some hundred processes.

Run as a module it reads requests from its standard input, a JSON object a line, and answers each with a process id.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from chaos.application import DIRECT_URL, install

PRELOADED = ("commandapi.cli.main", "commandapi.worker_process", "commandapi.serving", "commandapi.cli.database")


class Nursery:
    """The forking process, as its parent sees it."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], output: Path, errors: Path) -> int:
        """Start `commandapi ARGUMENTS`; returns its process id."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = [list(arguments), dict(environment), str(output), str(errors)]
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextmanager
def open_nursery() -> Iterator[Nursery]:
    """A nursery for as long as the context lasts."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COMMANDAPI_")}
    with subprocess.Popen(
        [sys.executable, "-m", "chaos.nursery"],
        cwd=Path(__file__).resolve().parents[1],
        env=kept,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        yield Nursery(process)


def _serve() -> None:
    for name in PRELOADED:
        __import__(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _become(*json.loads(line))
        print(pid, flush=True)


def _become(arguments: list[str], environment: dict[str, str], output: str, errors: str) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    for target, path in ((0, os.devnull), (1, output), (2, errors)):
        os.dup2(os.open(path, os.O_RDONLY if target == 0 else os.O_WRONLY | os.O_CREAT, 0o600), target)
    os.environ.update(environment)
    if DIRECT_URL in environment:
        install()
    from commandapi.cli.main import app

    status = 1
    try:
        app(arguments)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    _serve()
