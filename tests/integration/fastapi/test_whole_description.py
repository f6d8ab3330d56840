"""A short run of `make inputs`: every operation of the description, valid requests and invalid ones, in sequences."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.timeout(600)
def test_every_response_is_documented(tmp_path: Path) -> None:
    details = tmp_path / "details.txt"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "inputs",
            "--requests",
            "1",
            "--examples",
            "3",
            "--seed",
            "1",
            "--details",
            str(details),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    found = details.read_text(encoding="utf-8") if details.exists() else ""
    assert done.returncode == 0, done.stdout + done.stderr[-3000:] + found[-6000:]
