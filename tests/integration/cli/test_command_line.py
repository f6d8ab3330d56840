"""The commands that print something and end, and the worker alone."""

import re
import signal
import subprocess
import sys
from pathlib import Path

from running_server import commandapi, environment, make_data_dir, until

KEY = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}[A-Za-z0-9_-]{43}\n")


def test_keys_create_prints_the_key_and_nothing_else(data_dir: Path) -> None:
    make_data_dir(data_dir)
    done = commandapi("keys", "create", "--user", "ada", "--description", "laptop", data_dir=data_dir)
    assert done.returncode == 0
    assert KEY.fullmatch(done.stdout)
    listed = commandapi("keys", "list", "--user", "ada", data_dir=data_dir).stdout
    assert "laptop" in listed
    assert done.stdout[:8] in listed
    assert done.stdout[36:60] not in listed


def test_keys_are_revoked_by_their_owner_and_id(data_dir: Path) -> None:
    make_data_dir(data_dir)
    commandapi("keys", "create", "--user", "ada", data_dir=data_dir)
    assert commandapi("keys", "revoke", "1", "--user", "bob", data_dir=data_dir).returncode == 1
    assert commandapi("keys", "revoke", "1", "--user", "ada", data_dir=data_dir).stdout == "key 1 is revoked\n"


def test_user_without_a_name_gets_no_key(data_dir: Path) -> None:
    make_data_dir(data_dir)
    done = commandapi("keys", "create", "--user", " ", data_dir=data_dir)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("error: ")


def test_migrations_go_up_and_down(data_dir: Path) -> None:
    def db(command: str) -> str:
        done = commandapi("db", command, data_dir=data_dir, stdin=b"")
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert db("current").startswith("(none) (head is ")
    newest = db("upgrade").split()[-1]
    assert db("current") == f"{newest} (head)\n"
    checked = commandapi("doctor", data_dir=data_dir)
    assert (checked.returncode, checked.stdout) == (0, "All is well.\n")
    assert "warning: no worker has given a sign of life" in checked.stderr
    assert db("upgrade") == f"already at {newest}\n"
    assert db("downgrade").startswith(f"{newest} -> ")
    assert "head is" in db("current")
    assert db("upgrade").endswith(f"-> {newest}\n")
    done = commandapi("db", "downgrade", "base", data_dir=data_dir, stdin=b"")
    assert done.stdout == f"{newest} -> (none)\n"


def test_wrong_settings_are_named(data_dir: Path) -> None:
    done = commandapi("db", "current", data_dir=data_dir, extra={"COMMANDAPI_API_POOL_SIZE": "many"})
    assert done.returncode == 1
    assert done.stderr.startswith("error: COMMANDAPI_API_POOL_SIZE: ")


def test_help_names_every_command(data_dir: Path) -> None:
    shown = commandapi("--help", data_dir=data_dir).stdout
    for command in ("serve", "worker", "db", "keys", "import"):
        assert re.search(rf"\b{command}\b", shown)


def test_worker_alone_stops_when_asked(data_dir: Path, tmp_path: Path) -> None:
    make_data_dir(data_dir)
    log = tmp_path / "log"
    with log.open("wb") as output:
        worker = subprocess.Popen(
            [sys.executable, "-m", "commandapi", "worker", "--concurrency", "2"],
            env=environment(data_dir),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        until(lambda: "worker" in log.read_text() or worker.poll() is not None, "the worker to start")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0, log.read_text()
    finally:
        worker.kill()
        worker.wait()
