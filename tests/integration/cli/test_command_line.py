"""The commands that print something and end, and the worker alone."""

import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bulkport import embedded
from forked_processes import ForkedProcess
from running_server import COMMANDAPI, commandapi, environment, make_data_dir, temporary_data_dir, until

KEY = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}[A-Za-z0-9_-]{43}\n")


@pytest.fixture(scope="module")
def kept_data_dir() -> Iterator[Path]:
    """A data folder whose database is already running."""
    with temporary_data_dir(is_made=True) as data_dir, embedded.open_server(data_dir):
        yield data_dir


def test_keys_create_prints_only_the_key(kept_data_dir: Path) -> None:
    done = commandapi("keys", "create", "--user", "ada", "--description", "laptop", data_dir=kept_data_dir)
    assert done.returncode == 0
    assert KEY.fullmatch(done.stdout)
    listed = commandapi("keys", "list", "--user", "ada", data_dir=kept_data_dir).stdout
    assert "laptop" in listed
    assert done.stdout[:8] in listed
    assert done.stdout[36:60] not in listed


def test_keys_are_revoked_by_owner_and_id(kept_data_dir: Path) -> None:
    commandapi("keys", "create", "--user", "ada", data_dir=kept_data_dir)
    assert commandapi("keys", "revoke", "1", "--user", "bob", data_dir=kept_data_dir).returncode == 1
    assert commandapi("keys", "revoke", "1", "--user", "ada", data_dir=kept_data_dir).stdout == "key 1 is revoked\n"


def test_a_user_without_a_name_gets_no_key(kept_data_dir: Path) -> None:
    done = commandapi("keys", "create", "--user", " ", data_dir=kept_data_dir)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("error: ")


def test_migrations_upgrade_and_downgrade(data_dir: Path) -> None:
    def db(command: str) -> str:
        done = commandapi("db", command, data_dir=data_dir, stdin=b"")
        assert done.returncode == 0, done.stderr
        return done.stdout

    with embedded.open_server(data_dir):  # no command need start it
        _go_up_and_down(data_dir, db)


def _go_up_and_down(data_dir: Path, db: Callable[[str], str]) -> None:
    assert db("current").startswith("(none) (head is ")
    newest = db("upgrade").split()[-1]
    assert db("current") == f"{newest} (head)\n"
    checked = commandapi("doctor", data_dir=data_dir)
    assert (checked.returncode, checked.stdout) == (0, "No problems found.\n")
    assert "warning: no worker had a heartbeat" in checked.stderr
    assert db("upgrade") == f"already at {newest}\n"
    assert db("downgrade").startswith(f"{newest} -> ")
    assert "head is" in db("current")
    assert db("upgrade").endswith(f"-> {newest}\n")
    done = commandapi("db", "downgrade", "base", data_dir=data_dir, stdin=b"")
    assert done.stdout == f"{newest} -> (none)\n"


def test_invalid_settings_are_named(data_dir: Path) -> None:
    done = commandapi("db", "current", data_dir=data_dir, extra={"COMMANDAPI_API_POOL_SIZE": "many"})
    assert done.returncode == 1
    assert done.stderr.startswith("error: COMMANDAPI_API_POOL_SIZE: ")


def test_help_lists_every_command(data_dir: Path) -> None:
    shown = commandapi("--help", data_dir=data_dir).stdout
    for command in ("serve", "worker", "db", "keys", "import"):
        assert re.search(rf"\b{command}\b", shown)


def test_a_standalone_worker_stops_when_asked(data_dir: Path, tmp_path: Path) -> None:
    make_data_dir(data_dir)
    worker = ForkedProcess(
        [*COMMANDAPI, "worker", "--concurrency", "2"], environment=environment(data_dir), log=tmp_path / "log"
    )
    try:
        until(lambda: "worker" in worker.stdout or worker.poll() is not None, "the worker to start")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0, worker.stdout
    finally:
        worker.close()
