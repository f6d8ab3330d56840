"""Empty environments with the library's wheel in them."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
UV = ROOT / ".uv" / "bin" / "uv"


def build_wheel(folder: Path) -> Path:
    """The library's wheel, built into a folder."""
    uv("build", "--wheel", "--package", "bulkport", "--out-dir", str(folder))
    (found,) = folder.glob("bulkport-*.whl")
    return found


def environment(folder: Path, *requirements: str) -> Path:
    """The Python of a new environment that has these and nothing else."""
    uv("venv", "--python", sys.executable, str(folder / "venv"))
    python = folder / "venv" / "bin" / "python"
    uv("pip", "install", "--link-mode", "hardlink", "--python", str(python), *requirements)
    return python


def uv(*arguments: str) -> str:
    """What uv prints."""
    done = subprocess.run([str(UV), *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run(python: Path, program: str, *arguments: str, folder: Path, **variables: str) -> str:
    """What an installed program prints that succeeds."""
    done = subprocess.run(
        [str(python.with_name(program)), *arguments],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
