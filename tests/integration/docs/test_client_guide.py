"""The blocks of the guide to clients are programs that run, in each language."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from running_server import RunningServer, environment, temporary_data_dir

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "guides" / "write-a-client.md"
PROGRAMS = {
    "python": ([sys.executable, "program.py"], "program.py"),
    "bash": (["bash", "program.sh"], "program.sh"),
    "javascript": (["node", "program.mjs"], "program.mjs"),
}
NEEDS = {"python": sys.executable, "bash": "curl", "javascript": "node"}
SAYS = {
    "python": ["accepted 3", "PartialSuccess 3 of 3", "row 2 - ", "row 3 - "],
    "bash": ["PartialSuccess 3", "2,"],
    "javascript": ["accepted 3", "PartialSuccess 3 of 3", "row 2 - ", "row 3 - "],
}
ALL_SAY = ["mended Completed", "removed 1\nremoved 1\nremoved 1", "Scheduled then Cancelled", "uploaded 3"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def data() -> str:
    (table,) = re.findall(r"\n\n((?:    \S.*\n)+)\n", GUIDE.read_text(encoding="utf-8"))
    return re.sub(r"^    ", "", table, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with temporary_data_dir(is_made=True) as data_dir:
        running = RunningServer(data_dir, ("--workers", "1"), {})
        try:
            yield running.wait_until_ready()
        finally:
            running.close()


def test_each_step_is_shown_in_each_language() -> None:
    steps = GUIDE.read_text(encoding="utf-8").split("\n## ")[1:]
    assert len(steps) == 9
    for step in steps:
        assert re.findall(r"^```(\w+)$", step, re.MULTILINE) == list(PROGRAMS)


@pytest.mark.parametrize("language", PROGRAMS)
def test_the_guides_program_runs(server: RunningServer, tmp_path: Path, language: str) -> None:
    if shutil.which(NEEDS[language]) is None:
        pytest.skip(f"{NEEDS[language]} is not installed")
    command, name = PROGRAMS[language]
    (tmp_path / name).write_text("\n".join(blocks(language)), encoding="utf-8")
    (tmp_path / "commands.csv").write_text(data(), encoding="utf-8")
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={
            **environment(server.data_dir),
            "BASE_URL": server.url,
            "KEY": server.make_key(language),
            "NO_PROXY": "127.0.0.1",
            "LC_ALL": os.environ.get("LC_ALL", "C.UTF-8"),
        },
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for words in [*SAYS[language], *ALL_SAY]:
        assert words in done.stdout, done.stdout
    assert "Gti" in (tmp_path / "rejected.csv").read_text()
    exported = {"python": "platforms.xlsx", "bash": "platforms.csv", "javascript": "names.json"}[language]
    assert (tmp_path / exported).stat().st_size > 0
