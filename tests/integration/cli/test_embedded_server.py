"""The embedded PostgreSQL: created, shared, taken over and stopped."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from bulkport import embedded
from bulkport.embedded import binaries
from bulkport.embedded.processes import is_alive
from forked_processes import ForkedProcess
from running_server import make_data_dir, until

HOLD = """
import sys
import time
from pathlib import Path
from bulkport import embedded
data_dir, left = map(Path, sys.argv[1:])
with embedded.open_server(data_dir) as server:
    print(server.pid, flush=True)
    while not left.exists():
        time.sleep(0.01)
"""


class AnotherUser:
    """A process that uses the server until it is told to stop."""

    def __init__(self, data_dir: Path, left: Path) -> None:
        self._left = left
        self.process = ForkedProcess(["-c", HOLD, str(data_dir), str(left)])
        until(lambda: self.process.stdout.endswith("\n") or self.process.poll() is not None, "the other to be there")
        self.server_pid = int(self.process.stdout)

    def leave(self) -> None:
        self._left.touch()
        assert self.process.wait() == 0


@pytest.fixture
def another_user(data_dir: Path, tmp_path: Path) -> Iterator[AnotherUser]:
    make_data_dir(data_dir)
    user = AnotherUser(data_dir, tmp_path / "left")
    yield user
    user.process.close()


def execute(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def test_data_persists_and_the_server_stops_with_its_last_user(data_dir: Path) -> None:
    make_data_dir(data_dir)
    with embedded.open_server(data_dir) as server:
        pid = server.pid
        execute(server.url, "CREATE TABLE kept AS SELECT 42 AS number")
    assert pid is not None
    assert not is_alive(pid)
    with embedded.open_server(data_dir) as server:
        assert execute(server.url, "TABLE kept") == [(42,)]


def test_a_new_server_is_durable_tuned_for_imports_and_closed_to_other_users(data_dir: Path) -> None:
    names = [
        "fsync",
        "synchronous_commit",
        "full_page_writes",
        "jit",
        "max_wal_size",
        "shared_buffers",
        "listen_addresses",
    ]
    with embedded.open_server(data_dir) as server:
        settings = {name: execute(server.url, f"SHOW {name}")[0][0] for name in names}
        assert execute(server.url, "SELECT 'ÄRGER' ILIKE '%ärg%'") == [(True,)]
        assert (data_dir / "postgres").stat().st_mode & 0o077 == 0
    assert settings == {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "jit": "off",
        "max_wal_size": "4GB",
        "shared_buffers": "256MB",
        "listen_addresses": "",
    }


def test_an_operator_can_change_settings_permanently(data_dir: Path) -> None:
    make_data_dir(data_dir)
    with embedded.open_server(data_dir) as server:
        execute(server.url, "ALTER SYSTEM SET max_wal_size = '2GB'")
    with embedded.open_server(data_dir) as server:
        assert execute(server.url, "SHOW max_wal_size") == [("2GB",)]


def test_processes_share_one_server_and_the_last_one_stops_it(data_dir: Path, another_user: AnotherUser) -> None:
    with embedded.open_server(data_dir) as server:
        assert server.pid == another_user.server_pid
    assert is_alive(another_user.server_pid)
    another_user.leave()
    assert not is_alive(another_user.server_pid)


def test_the_server_keeps_running_for_later_processes(data_dir: Path, another_user: AnotherUser) -> None:
    with embedded.open_server(data_dir) as server:
        another_user.leave()
        assert execute(server.url, "SELECT 1") == [(1,)]
    assert not is_alive(another_user.server_pid)


def test_a_killed_process_does_not_count_and_its_server_is_taken_over(
    data_dir: Path, another_user: AnotherUser
) -> None:
    another_user.process.kill()
    another_user.process.wait()
    assert is_alive(another_user.server_pid)
    with embedded.open_server(data_dir) as server:
        assert server.pid == another_user.server_pid
        assert execute(server.url, "SELECT 1") == [(1,)]
    assert not is_alive(another_user.server_pid)


def test_a_killed_server_is_restarted_with_all_committed_data(data_dir: Path) -> None:
    make_data_dir(data_dir)
    with embedded.open_server(data_dir) as server:
        execute(server.url, "CREATE TABLE kept AS SELECT generate_series(1, 1000)")
        pid = server.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert server.ensure_running()
        assert server.pid != pid
        assert execute(server.url, "SELECT count(*) FROM kept") == [(1000,)]
        assert not server.ensure_running()


def test_a_half_created_cluster_is_created_again(data_dir: Path) -> None:
    half = data_dir / "postgres.new-abc"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with embedded.open_server(data_dir) as server:
        assert execute(server.url, "SELECT 1") == [(1,)]
    assert not half.exists()


def test_a_path_too_long_for_a_socket_works(data_dir: Path) -> None:
    long = data_dir / ("long" * 25)
    with embedded.open_server(long) as server:
        assert execute(server.url, "SELECT 1") == [(1,)]


def test_a_path_with_spaces_commas_and_quotes_works(data_dir: Path) -> None:
    with embedded.open_server(data_dir / "o'neil, ada & 50% #1") as server:
        assert execute(server.url, "SELECT 1") == [(1,)]


@pytest.mark.parametrize("name", ['"quoted"', "$HOME", "`id`", "back\\slash"])
def test_a_path_that_a_shell_would_change_is_rejected(tmp_path: Path, name: str) -> None:
    with (
        pytest.raises(embedded.EmbeddedDatabaseError, match="data folder"),
        embedded.open_server(tmp_path / name),
    ):
        pass


def test_another_servers_environment_variables_are_ignored(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PGPORT": "1", "PGHOST": "nowhere", "PGDATA": "/nowhere", "PGDATABASE": "other"}.items():
        monkeypatch.setenv(name, value)
    with embedded.open_server(data_dir) as server:
        assert execute(server.url, "SELECT current_database()") == [("bulkport",)]


def test_the_data_of_another_postgresql_version_is_rejected_and_left_alone(data_dir: Path) -> None:
    make_data_dir(data_dir)
    with embedded.open_server(data_dir):
        pass
    version = data_dir / "postgres" / "PG_VERSION"
    version.write_text("9\n")
    with pytest.raises(embedded.EmbeddedDatabaseError, match="written by PostgreSQL 9"), embedded.open_server(data_dir):
        pass
    version.write_text("18\n")


def test_a_platform_without_the_wheel_is_told_what_to_set(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(binaries.importlib.util, "find_spec", lambda name: None)
        with (
            pytest.raises(embedded.UnsupportedPlatform, match="PostgreSQL 15 or newer of your own"),
            embedded.open_server(data_dir),
        ):
            pass


def test_an_unusable_folder_is_reported_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(embedded.EmbeddedDatabaseError, match="file"), embedded.open_server(tmp_path / "file" / "data"):
        pass
