"""Runs targets for a given time: with atheris if installed, else with random input."""

import importlib.util
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fuzz.targets import targets

_ROOT: Final = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one target."""

    name: str
    seconds: float
    examples: int
    fault: str | None


def has_atheris() -> bool:
    """Whether coverage can guide."""
    return importlib.util.find_spec("atheris") is not None


def run_by_chance(name: str, seconds: float, first_seed: int) -> Result:
    """Feed a property random choices, which Hypothesis makes inputs of."""
    started, examples = time.monotonic(), 0
    feed = targets()[name].hypothesis.fuzz_one_input
    chance = random.Random(f"{first_seed}/{name}")
    while time.monotonic() - started < seconds:
        examples += 1
        try:
            feed(chance.randbytes(chance.choice((32, 256, 2048))))
        except Exception as error:
            return Result(name, time.monotonic() - started, examples, f"{type(error).__name__}: {error}"[:2000])
    return Result(name, time.monotonic() - started, examples, None)


def run_by_atheris(name: str, seconds: float, first_seed: int) -> Result:
    """Have atheris drive a property in a process of its own."""
    started, limit = time.monotonic(), max(1, round(seconds))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "fuzz.by_coverage",
            name,
            f"-max_total_time={limit}",
            f"-artifact_prefix={tempfile.gettempdir()}/",
            f"-seed={first_seed}",
        ],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [
        line
        for line in done.stderr.splitlines()
        if line.startswith("stat::number_of_executed_units") or "Done " in line
    ]
    numbers = [int(word) for line in lines for word in line.split() if word.isdecimal()]
    fault = None if done.returncode == 0 else (done.stdout[-1500:] + done.stderr[-1500:])
    return Result(name, time.monotonic() - started, max(numbers, default=0), fault)


def run_all(seconds: float, first_seed: int, only: list[str], *, by_coverage: bool) -> list[Result]:
    """Share the time among the targets."""
    chosen = [name for name in targets() if not only or any(word in name for word in only)]
    random.Random(first_seed).shuffle(chosen)
    run = run_by_atheris if by_coverage else run_by_chance
    return [run(name, seconds / len(chosen), first_seed) for name in chosen]
