"""`.ci/run` keeps pytest's closing line and fails when anything did, or was skipped."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("lint", "closing", "test", "succeeds"),
    [
        ("true", "3 passed in 1.00s", "true", True),
        ("true", "1 failed, 2 passed in 1.00s", "false", False),
        ("true", "2 passed, 1 skipped in 1.00s", "true", False),
        ("false", "3 passed in 1.00s", "true", False),
        ("true", "nothing was run", "true", False),
    ],
)
def test_the_run_reports_an_exit_code_and_a_last_line(
    tmp_path: Path, lint: str, closing: str, test: str, succeeds: bool
) -> None:
    (tmp_path / ".ci").mkdir()
    shutil.copy2(ROOT / ".ci" / "run", tmp_path / ".ci" / "run")
    rules = f"lint:\n\t@{lint}\ntest:\n\t@echo 'a line before'; echo '{closing}'; {test}\n"
    (tmp_path / "Makefile").write_text(rules)
    done = subprocess.run([tmp_path / ".ci" / "run"], cwd="/", capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is succeeds
    if lint == "true" and "in 1.00s" in closing:
        assert done.stdout.splitlines()[-1] == closing
