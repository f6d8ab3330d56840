"""The library's wheel works in an empty environment, alone and with each extra; what is missing is named."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

ROOT = Path(__file__).resolve().parents[3]
UV = ROOT / ".uv" / "bin" / "uv"
PROGRAM = Path(__file__).with_name("installed_program.py")
RESOLUTION = os.environ.get("BULKPORT_TEST_RESOLUTION", "highest")
OF_PSYCOPG_AND_PYDANTIC = re.compile(r"psycopg|pydantic|annotated-types|typing-")

pytestmark = pytest.mark.skipif(not UV.exists(), reason="uv is not installed in .uv")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    _uv("build", "--wheel", "--package", "bulkport", "--out-dir", str(folder))
    (found,) = folder.glob("bulkport-*.whl")
    return found


@pytest.mark.parametrize(
    "extra", ["none", "fastapi", "dashboard", "client", "cli", "embedded", "otel", "testing", "all"]
)
def test_the_wheel_works_in_an_empty_environment(wheel: Path, tmp_path: Path, database_url: str, extra: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public, bulkport CASCADE")
        connection.execute("CREATE SCHEMA public")
    python = _environment(tmp_path, f"{wheel}" if extra == "none" else f"bulkport[{extra}] @ {wheel.as_uri()}")
    program = shutil.copy(PROGRAM, tmp_path)
    done = subprocess.run(
        [str(python), "-W", "ignore", str(program), extra],
        env={**os.environ, "DATABASE_URL": database_url},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    if extra == "none":
        installed = _uv("pip", "list", "--python", str(python)).splitlines()[2:]
        others = [line for line in installed if not OF_PSYCOPG_AND_PYDANTIC.match(line)]
        assert len(others) <= 11, others  # Bulkport itself, and ten


def _environment(folder: Path, requirement: str) -> Path:
    _uv("venv", "--python", sys.executable, str(folder / "venv"))
    python = folder / "venv" / "bin" / "python"
    _uv("pip", "install", "--link-mode", "hardlink", "--python", str(python), "--resolution", RESOLUTION, requirement)
    return python


def _uv(*arguments: str) -> str:
    done = subprocess.run([str(UV), *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr
    return done.stdout
