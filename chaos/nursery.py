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
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from chaos.application import DIRECT_URL, install

PRELOADED = (
    "commandapi.cli.main",
    "commandapi.worker_process",
    "commandapi.serving",
    "commandapi.cli.database",
    "bulkport.client",
)


@dataclass(frozen=True)
class Files:
    """What a process reads and writes."""

    input: Path
    output: Path
    errors: Path
    status: Path
    """Is there, with its exit status, once it has ended by itself."""

    @classmethod
    def in_folder(cls, folder: Path) -> Self:
        return cls(folder / "stdin", folder / "stdout", folder / "stderr", folder / "status")


class Nursery:
    """The forking process, as its parent sees it."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], output: Path, errors: Path) -> int:
        """Start `commandapi ARGUMENTS`; returns its process id."""
        nowhere = Path(os.devnull)
        return self.start_with(arguments, environment, Files(nowhere, output, errors, nowhere))

    def start_with(self, arguments: Sequence[str], environment: Mapping[str, str], files: Files) -> int:
        """Start `commandapi ARGUMENTS` with these files; returns its process id."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        paths = [str(path) for path in (files.input, files.output, files.errors, files.status)]
        request = [list(arguments), dict(environment), paths]
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


def _become(arguments: list[str], environment: dict[str, str], paths: list[str]) -> None:
    read, output, errors, told = paths
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    for target, path in ((0, read), (1, output), (2, errors)):
        os.dup2(os.open(path, os.O_RDONLY if target == 0 else os.O_WRONLY | os.O_CREAT, 0o600), target)
    os.environ.update(environment)
    if DIRECT_URL in environment:
        install()
    from commandapi.cli.main import main

    sys.argv = ["commandapi", *arguments]
    status = 1
    try:
        main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        Path(told).write_text(str(status))
        os._exit(status)


if __name__ == "__main__":
    _serve()
