"""The library's wheel works in an empty environment, alone and with each extra; missing extras are named."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from wheel_environment import UV, environment, uv

PROGRAM = Path(__file__).with_name("installed_program.py")
OF_PSYCOPG_AND_PYDANTIC = re.compile(r"psycopg|pydantic|annotated-types|typing-")

pytestmark = pytest.mark.skipif(not UV.exists(), reason="uv is not installed in .uv")


@pytest.mark.parametrize(
    "extra", ["none", "fastapi", "dashboard", "client", "cli", "embedded", "otel", "testing", "all"]
)
def test_the_wheel_works_in_an_empty_environment(wheel: Path, tmp_path: Path, empty_database: str, extra: str) -> None:
    python = environment(tmp_path, f"{wheel}" if extra == "none" else f"bulkport[{extra}] @ {wheel.as_uri()}")
    program = shutil.copy(PROGRAM, tmp_path)
    done = subprocess.run(
        [str(python), "-W", "ignore", str(program), extra],
        env={**os.environ, "DATABASE_URL": empty_database},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    if extra == "none":
        installed = uv("pip", "list", "--python", str(python)).splitlines()[2:]
        others = [line for line in installed if not OF_PSYCOPG_AND_PYDANTIC.match(line)]
        assert len(others) <= 11, others  # Bulkport itself, and ten
