"""The session: a server starts, files are imported, and their errors are shown."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

COLUMNS: Final = 100

_ROWS: Final = 20_000
_COMMANDS: Final = (
    "commandapi import vendor.csv --resource platforms --name July --tag nightly",
    "commandapi imports errors 3",
    "commandapi import catalogue.ndjson --resource commands",
    "commandapi imports list",
)
_PROMPT: Final = "$ "
_TYPING_SECONDS: Final = 0.03
"""Seconds per typed character."""
_READING_SECONDS: Final = 1.2
"""After the output of a command."""
_MOST_LINES: Final = 17


@dataclass(frozen=True, slots=True)
class Line:
    """One line on the terminal."""

    at: float
    """Seconds since the beginning."""
    text: str
    typed_seconds: float = 0.0
    """How long it was typed; 0: it was printed."""


def record() -> list[Line]:
    """Run the commands in a folder of their own against a server of their own."""
    with TemporaryDirectory(prefix="recording-") as name:
        folder = Path(name)
        _write_files(folder)
        environment = {
            **os.environ,
            "COMMANDAPI_DATA_DIR": str(folder / "data"),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "COLUMNS": str(COLUMNS),
            "NO_COLOR": "1",
        }
        with _server(folder, environment) as address:
            key = subprocess.run(
                ["commandapi", "keys", "create", "--user", "ada"],
                env=environment, check=True, capture_output=True, text=True,
            ).stdout  # fmt: skip
            environment |= {"COMMANDAPI_API_KEY": key.split()[-1]}
            return _run_commands(folder, {**environment, "COMMANDAPI_URL": address})


def _run_commands(folder: Path, environment: Mapping[str, str]) -> list[Line]:
    lines: list[Line] = []
    now = 0.0
    for command in _COMMANDS:
        typed = len(command) * _TYPING_SECONDS
        lines.append(Line(now, _PROMPT + command, typed))
        now += typed + 0.2
        began = time.monotonic()
        words = [*command.split(), "--url", environment["COMMANDAPI_URL"]]
        with subprocess.Popen(
            words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            assert process.stdout is not None
            shown = 0
            for text in process.stdout:
                if shown < _MOST_LINES:
                    shown += 1
                    lines.append(Line(now + time.monotonic() - began, text.rstrip()[:COLUMNS]))
        now += time.monotonic() - began + _READING_SECONDS
    return lines


def _write_files(folder: Path) -> None:
    vendors = [
        "platformName;note",
        *(f"Vendor {number};imported" for number in range(1, 1200)),
        ";no name",
        "Git;known",
    ]
    (folder / "vendor.csv").write_text("\n".join(vendors), encoding="utf-8")
    rows = (
        f'{{"howTo": "List container {number}", "platformName": "Docker", "commandLine": "docker inspect {number}"}}'
        for number in range(_ROWS)
    )
    (folder / "catalogue.ndjson").write_text("\n".join(rows), encoding="utf-8")


@contextmanager
def _server(folder: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """`commandapi demo` on a free port; its address."""
    with (folder / "server.log").open("w") as log, subprocess.Popen(
        ["commandapi", "demo", "--port", "0", "--workers", "1"],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=log, text=True,
    ) as server:  # fmt: skip
        try:
            assert server.stdout is not None
            for line in server.stdout:
                if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                    yield found[0]
                    return
            raise RuntimeError("the server did not start")
        finally:
            server.terminate()
