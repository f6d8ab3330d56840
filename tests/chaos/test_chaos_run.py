"""A short run of `make chaos`: acknowledged work exists once and rejected work does not, whatever breaks."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.chaos

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(600)
def test_a_short_run_of_every_fault_loses_and_duplicates_nothing() -> None:
    seed = os.environ.get("CHAOS_SEED") or str(random.SystemRandom().randrange(2**32))
    print(f"CHAOS_SEED={seed}")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "chaos",
            "--seconds",
            "150",
            "--enough",
            "10",
            "--seed",
            seed,
            "--rows",
            "5000",
            "--pause",
            "0.1",
            "--json",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["violations"] == []
    assert sum(told["faults"].values()) >= 10
    assert told["acknowledged"] >= 10
    assert told["rows_checked"] > 1_000
