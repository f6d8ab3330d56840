"""PgBouncer in transaction mode, where each transaction may run in another session."""

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

_PORT = 6432
"""Only part of the name of a socket in a folder of its own."""
SESSIONS = 4
"""Of PostgreSQL, that all clients share."""


@contextmanager
def pooled(database_url: str) -> Iterator[str]:
    """The database through PgBouncer on its own socket; skips the test if PgBouncer is not installed."""
    program = shutil.which("pgbouncer")
    if program is None:
        pytest.skip("pgbouncer is not installed")
    parts = urlsplit(database_url)
    host = parse_qs(parts.query).get("host", [parts.hostname or "127.0.0.1"])[0]
    port = parts.port or int(parse_qs(parts.query).get("port", ["5432"])[0])
    name = parts.path.lstrip("/")
    # Not pytest's folder, where PgBouncer's own user may not go.
    folder = Path(tempfile.mkdtemp(prefix="bulkport-pooler-"))
    folder.chmod(0o777)
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\n{name} = host={host} port={port} dbname={name} user={parts.username}\n"
        f"[pgbouncer]\nlisten_port = {_PORT}\nunix_socket_dir = {folder}\nauth_type = any\npool_mode = transaction\n"
        f"default_pool_size = {SESSIONS}\nignore_startup_parameters = extra_float_digits\n"
    )
    # PgBouncer does not run as root, and PostgreSQL's socket may be in a folder of its own user.
    owner = Path(host).owner() if host.startswith("/") else "nobody"
    as_user = ["-u", owner if owner != "root" else "nobody"] if os.geteuid() == 0 else []
    process = subprocess.Popen([program, "-q", *as_user, str(settings)], stderr=subprocess.DEVNULL)
    try:
        url = f"postgresql://{parts.username}@/{name}?host={folder}&port={_PORT}"
        for _ in range(500):
            try:
                psycopg.connect(url).close()
                break
            except psycopg.OperationalError:
                assert process.poll() is None, "PgBouncer does not start"
                threading.Event().wait(0.02)
        yield url
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)
