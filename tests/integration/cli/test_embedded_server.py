"""The embedded PostgreSQL: made, shared, taken over and stopped."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from bulkport import embedded
from bulkport.embedded import programs
from bulkport.embedded.processes import is_alive
from running_server import make_data_dir

HOLD = """
import sys
from pathlib import Path
from bulkport import embedded
with embedded.open_server(Path(sys.argv[1])) as server:
    print(server.pid, flush=True)
    sys.stdin.readline()
"""


@contextmanager
def another_user_of(data_dir: Path) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """A process that holds the server until its standard input ends, and the server's pid."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(data_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        yield process, int(process.stdout.readline())


def execute(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def test_data_stays_and_the_server_goes_with_its_last_user(data_dir: Path) -> None:
    make_data_dir(data_dir)
    with embedded.open_server(data_dir) as server:
        pid = server.pid
        execute(server.url, "CREATE TABLE kept AS SELECT 42 AS number")
    assert pid is not None
    assert not is_alive(pid)
    with embedded.open_server(data_dir) as server:
        assert execute(server.url, "TABLE kept") == [(42,)]


def test_settings_are_durable_and_meant_for_imports(data_dir: Path) -> None:
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
    assert settings == {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "jit": "off",
        "max_wal_size": "4GB",
        "shared_buffers": "256MB",
        "listen_addresses": "",
    }


def test_operator_may_change_settings_for_good(data_dir: Path) -> None:
    make_data_dir(data_dir)
    with embedded.open_server(data_dir) as server:
        execute(server.url, "ALTER SYSTEM SET max_wal_size = '2GB'")
    with embedded.open_server(data_dir) as server:
        assert execute(server.url, "SHOW max_wal_size") == [("2GB",)]


def test_folder_and_socket_are_closed_to_other_users(data_dir: Path) -> None:
    with embedded.open_server(data_dir):
        assert (data_dir / "postgres").stat().st_mode & 0o077 == 0


def test_processes_share_one_server_and_the_last_stops_it(data_dir: Path) -> None:
    make_data_dir(data_dir)
    with another_user_of(data_dir) as (_, first_pid):
        with embedded.open_server(data_dir) as server:
            assert server.pid == first_pid
        assert is_alive(first_pid)
    assert not is_alive(first_pid)


def test_server_stays_for_those_who_came_later(data_dir: Path) -> None:
    make_data_dir(data_dir)
    with another_user_of(data_dir) as (process, pid):
        with embedded.open_server(data_dir) as server:
            process.communicate(input="\n")
            assert execute(server.url, "SELECT 1") == [(1,)]
        assert not is_alive(pid)


def test_killed_user_does_not_count_and_its_server_is_taken_over(data_dir: Path) -> None:
    make_data_dir(data_dir)
    with another_user_of(data_dir) as (process, pid):
        process.kill()
    assert is_alive(pid)
    with embedded.open_server(data_dir) as server:
        assert server.pid == pid
        assert execute(server.url, "SELECT 1") == [(1,)]
    assert not is_alive(pid)


def test_killed_server_is_started_again_with_what_was_committed(data_dir: Path) -> None:
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


def test_half_made_cluster_is_made_again(data_dir: Path) -> None:
    half = data_dir / "postgres.new-abc"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with embedded.open_server(data_dir) as server:
        assert execute(server.url, "SELECT 1") == [(1,)]
    assert not half.exists()


def test_path_too_long_for_a_socket_works(data_dir: Path) -> None:
    long = data_dir / ("long" * 25)
    with embedded.open_server(long) as server:
        assert execute(server.url, "SELECT 1") == [(1,)]


def test_path_with_spaces_commas_and_quotes_works(data_dir: Path) -> None:
    with embedded.open_server(data_dir / "o'neil, ada & 50% #1") as server:
        assert execute(server.url, "SELECT 1") == [(1,)]


@pytest.mark.parametrize("name", ['"quoted"', "$HOME", "`id`", "back\\slash"])
def test_path_that_a_shell_would_change_is_refused(tmp_path: Path, name: str) -> None:
    with (
        pytest.raises(embedded.EmbeddedDatabaseError, match="data folder"),
        embedded.open_server(tmp_path / name),
    ):
        pass


def test_environment_of_another_server_is_ignored(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PGPORT": "1", "PGHOST": "nowhere", "PGDATA": "/nowhere", "PGDATABASE": "other"}.items():
        monkeypatch.setenv(name, value)
    with embedded.open_server(data_dir) as server:
        assert execute(server.url, "SELECT current_database()") == [("bulkport",)]


def test_data_of_another_postgresql_is_refused_and_left_alone(data_dir: Path) -> None:
    make_data_dir(data_dir)
    with embedded.open_server(data_dir):
        pass
    version = data_dir / "postgres" / "PG_VERSION"
    version.write_text("9\n")
    with pytest.raises(embedded.EmbeddedDatabaseError, match="written by PostgreSQL 9"), embedded.open_server(data_dir):
        pass
    version.write_text("18\n")


def test_platform_without_the_wheel_is_told_what_to_set(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(programs.importlib.util, "find_spec", lambda name: None)
        with (
            pytest.raises(embedded.UnsupportedPlatform, match="PostgreSQL 15 or newer of your own"),
            embedded.open_server(data_dir),
        ):
            pass


def test_unusable_folder_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(embedded.EmbeddedDatabaseError, match="file"), embedded.open_server(tmp_path / "file" / "data"):
        pass
