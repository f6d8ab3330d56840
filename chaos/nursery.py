"""Where processes come from that are killed by the dozen: one that has imported the Command API, and forks.

Each is a process of its own that runs the command line from its beginning, as `python -m commandapi` does; but the
imports, which cost a busy machine seconds, were made once. A run, or the tests, start some hundred processes.

Run as a module it reads requests from its standard input, a JSON array a line, and answers each with a process id.
"""

import json
import os
import runpy
import signal
import subprocess
import sys
import types
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
    "bulkport.cli.commands.main",
    "alembic.command",
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
        return self._ask(arguments, environment, files, None)

    def start_python(self, arguments: Sequence[str], environment: Mapping[str, str], files: Files, folder: Path) -> int:
        """Start `python ARGUMENTS` (a script, `-m MODULE` or `-c PROGRAM`) in a folder; returns its process id.

        What the interpreter itself reads from its environment, it has read before.
        """
        return self._ask(arguments, environment, files, str(folder))

    def _ask(self, arguments: Sequence[str], environment: Mapping[str, str], files: Files, folder: str | None) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        paths = [str(path) for path in (files.input, files.output, files.errors, files.status)]
        request = [list(arguments), dict(environment), paths, folder]
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


def _become(arguments: list[str], environment: dict[str, str], paths: list[str], folder: str | None) -> None:
    read, output, errors, told = paths
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    for target, path in ((0, read), (1, output), (2, errors)):
        os.dup2(os.open(path, os.O_RDONLY if target == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), target)
    status = 1
    try:
        if folder is None:
            _run_command(arguments, environment)
        else:
            _run_python(arguments, environment, folder)
        status = 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        if told != os.devnull:
            # Whoever sees it, sees all of it.
            written = Path(f"{told}.new")
            written.write_text(str(status))
            written.replace(told)
        os._exit(status)


def _run_command(arguments: list[str], environment: dict[str, str]) -> None:
    os.environ.update(environment)
    if DIRECT_URL in environment:
        install()
    from commandapi.cli.main import main

    sys.argv = ["commandapi", *arguments]
    main()


def _run_python(arguments: list[str], environment: dict[str, str], folder: str) -> None:
    """As the interpreter does it with these arguments."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)
    first, *rest = arguments
    if first == "-m":
        sys.argv, sys.path[0] = rest, folder
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif first == "-c":
        sys.argv, sys.path[0] = ["-c", *rest[1:]], folder
        program = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(rest[0], "<string>", "exec"), program.__dict__)
    else:
        sys.argv, sys.path[0] = arguments, str(Path(first).parent)
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    _serve()
