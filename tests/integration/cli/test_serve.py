"""`commandapi serve`: what it starts, says, survives and leaves behind (nothing)."""

import os
import re
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from bulkport.embedded.processes import is_alive
from running_server import RunningServer, commandapi, until

StartServer = Callable[..., RunningServer]


def all_processes_of(server: RunningServer) -> set[int]:
    return {server.process.pid, server.database_pid, *server.workers}


def test_one_line_shows_every_address(start_server: StartServer) -> None:
    server = start_server("--workers", "1", is_first=True).wait_until_ready()
    assert re.fullmatch(
        r"Command API: (http://127\.0\.0\.1:\d+)  docs: \1/docs  dashboard: \1/hangfire\n"
        r"Sign in to the dashboard, once and within a day: \1/hangfire/sign-in\?token=[\w-]{43}\n",
        server.stdout,
    )
    with httpx.Client(trust_env=False) as browser:
        assert browser.get(f"{server.url}/hangfire/").status_code == 403
        link = server.stdout.split()[-1]
        assert browser.get(link, follow_redirects=True).status_code == 200
        assert browser.get(f"{server.url}/hangfire/jobs").status_code == 200
    assert httpx.get(f"{server.url}/health/ready", trust_env=False).status_code == 200
    assert httpx.get(f"{server.url}/docs", trust_env=False).status_code == 200


def test_production_has_no_docs(start_server: StartServer) -> None:
    server = start_server("--workers", "0", extra={"COMMANDAPI_ENVIRONMENT": "production"}).wait_until_ready()
    assert "docs: off" in server.stdout
    assert httpx.get(f"{server.url}/docs", trust_env=False).status_code == 404


@pytest.mark.parametrize(
    ("number", "workers", "light_workers"), [(signal.SIGINT, 1, 1), (signal.SIGTERM, 2, 0), (signal.SIGHUP, 1, 0)]
)
def test_a_signal_stops_everything_that_was_started(
    start_server: StartServer, number: signal.Signals, workers: int, light_workers: int
) -> None:
    extra = {"COMMANDAPI_LIGHT_WORKERS": str(light_workers)}
    server = start_server("--workers", str(workers), extra=extra).wait_until_ready()
    until(lambda: len(server.workers) == workers + light_workers, "its workers")
    processes = all_processes_of(server)
    server.send(number)
    assert server.wait() == 0
    assert {pid for pid in processes if is_alive(pid)} == set()


def test_heavy_workers_have_a_lower_priority_than_the_server_and_the_light_worker(start_server: StartServer) -> None:
    extra = {"COMMANDAPI_LIGHT_WORKERS": "1", "COMMANDAPI_WORKER_NICE": "7"}
    server = start_server("--workers", "1", extra=extra).wait_until_ready()

    def urgency() -> dict[str, tuple[int, int]]:
        found = {}
        for pid in server.workers:
            module = psutil.Process(pid).cmdline()[-1]
            group = Path(f"/proc/{pid}/autogroup")
            # Others than root may set it only so many times a second.
            is_set = os.geteuid() == 0 and os.access(group, os.W_OK)
            found[module] = (psutil.Process(pid).nice(), int(group.read_text().split()[-1]) if is_set else 7)
        return found

    before = psutil.Process(server.process.pid).nice()
    expected = {"commandapi.worker_process": before + 7, "commandapi.light_worker": before}
    until(lambda: {name: nice for name, (nice, _) in urgency().items()} == expected, "the workers' niceness")
    until(lambda: urgency()["commandapi.worker_process"][1] == 7, "the niceness of the worker's session")


def test_a_second_ctrl_c_does_not_wait_for_open_requests(start_server: StartServer) -> None:
    long_grace = "from commandapi import serving; serving._REQUEST_GRACE_SECONDS = 600"
    server = start_server("--workers", "1", before=long_grace).wait_until_ready()
    key = server.make_key()
    processes = all_processes_of(server)
    address = httpx.URL(server.url)
    with socket.create_connection((address.host, address.port)) as connection:
        connection.sendall(
            f"POST /api/platforms HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\ncontent-type: application/json\r\n"
            "content-length: 100\r\n\r\n{".encode()
        )
        until(lambda: has_connection(server), "the request to arrive")
        server.send(signal.SIGINT)
        until(lambda: not accepts(address), "the first Ctrl-C to be noticed")
        server.send(signal.SIGINT)
        # Long before the grace for open requests is over. Stopping the database may take its time.
        until(lambda: stops_its_database(server), "the open request to be given up")
        assert server.process.wait(60) == 0
    assert {pid for pid in processes if is_alive(pid)} == set()


def has_connection(server: RunningServer) -> bool:
    connections = psutil.Process(server.process.pid).net_connections(kind="tcp")
    return any(connection.status == psutil.CONN_ESTABLISHED for connection in connections)


def stops_its_database(server: RunningServer) -> bool:
    try:
        return any(child.name() == "pg_ctl" for child in psutil.Process(server.process.pid).children())
    except psutil.NoSuchProcess:
        return True


def accepts(address: httpx.URL) -> bool:
    try:
        socket.create_connection((address.host, address.port), timeout=1).close()
    except OSError:
        return False
    return True


def test_ctrl_c_during_startup_leaves_nothing_behind(start_server: StartServer, data_dir: Path) -> None:
    server = start_server("--workers", "1", is_first=True)
    file = data_dir / "postgres" / "postmaster.pid"
    until(lambda: file.exists() and file.read_text(), "the database to start")
    database = server.database_pid
    server.send(signal.SIGINT)
    server.wait()
    assert not is_alive(database)


def test_a_killed_worker_is_restarted_and_logged(start_server: StartServer) -> None:
    server = start_server("--workers", "2").wait_until_ready()
    until(lambda: len(server.workers) == 2, "two workers")
    before = server.workers
    victim = min(before)
    os.kill(victim, signal.SIGKILL)

    def is_replaced() -> bool:
        workers = server.workers
        return len(workers) == 2 and len(workers - before) == 1 and victim not in workers

    until(is_replaced, "another worker")
    assert re.search(rf"worker \d \(pid {victim}\) was killed by SIGKILL; starting it again", server.stderr)


def test_a_killed_server_leaves_no_worker_and_an_intact_database(start_server: StartServer) -> None:
    server = start_server("--workers", "2").wait_until_ready()
    key = server.make_key()
    until(lambda: len(server.workers) == 2, "two workers")
    workers = server.workers
    server.send(signal.SIGKILL)
    server.process.wait()
    until(lambda: not any(is_alive(pid) for pid in workers), "the workers to end")
    again = start_server("--workers", "0").wait_until_ready()
    with again.client(key) as client:
        assert client.get("/api/platforms").status_code == 200


def test_a_killed_embedded_database_is_restarted(start_server: StartServer) -> None:
    server = start_server("--workers", "0").wait_until_ready()
    key = server.make_key()
    killed = server.database_pid
    os.kill(killed, signal.SIGKILL)
    until(lambda: "died and was restarted" in server.stderr, "the database to be started again")
    assert server.database_pid != killed
    with server.client(key) as client:
        until(lambda: client.get("/api/platforms").status_code == 200, "the API to answer again")


def test_a_key_created_by_another_process_works_at_once(start_server: StartServer) -> None:
    server = start_server("--workers", "0").wait_until_ready()
    with server.client(server.make_key()) as client:
        assert client.get("/api/platforms").status_code == 200
    with server.client("no key") as client:
        assert client.get("/api/platforms").status_code == 401


def test_a_port_in_use_is_reported(start_server: StartServer, data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = commandapi("serve", "--port", str(port), data_dir=data_dir)
    assert done.returncode == 1
    assert f"Cannot serve at 127.0.0.1:{port}: Address already in use. Choose another with --port." in done.stderr
    assert not data_dir.exists(), "nothing is started for a server that cannot serve"


def test_a_configured_database_must_be_migrated_first(
    start_server: StartServer, server_url: str, data_dir: Path
) -> None:
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE not_migrated")
        url = server_url.replace("/postgres?", "/not_migrated?")
        extra = {"COMMANDAPI_DATABASE_URL": url}
        try:
            done = commandapi("serve", "--port", "0", data_dir=data_dir, extra=extra)
            assert done.returncode == 1
            assert "Run: commandapi db upgrade" in done.stderr
            assert commandapi("db", "upgrade", data_dir=data_dir, extra=extra).returncode == 0
            server = start_server("--workers", "1", extra=extra).wait_until_ready()
            assert httpx.get(f"{server.url}/health/ready", trust_env=False).status_code == 200
            assert not data_dir.exists(), "no embedded database is started beside a configured one"
            server.close()
        finally:
            connection.execute("DROP DATABASE not_migrated WITH (FORCE)")


def test_an_unreachable_database_is_reported(data_dir: Path) -> None:
    extra = {"COMMANDAPI_DATABASE_URL": "postgresql://ada@127.0.0.1:1/shop", "COMMANDAPI_DATABASE_START_SECONDS": "0"}
    done = commandapi("serve", "--port", "0", data_dir=data_dir, extra=extra)
    assert done.returncode == 1
    assert "error: The database of COMMANDAPI_DATABASE_URL cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr
