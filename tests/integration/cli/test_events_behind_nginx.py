"""Server-sent events arrive at once through nginx with default buffering and with gzip."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from running_server import RunningServer, temporary_data_dir, until

_SETTINGS = """
daemon off; {user} worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    gzip on; gzip_types *; gzip_min_length 0; gzip_proxied any;
    server {{ listen unix:{folder}/socket; location / {{ proxy_pass {url}; proxy_buffering on; }} }}
}}
"""


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with temporary_data_dir(is_made=True) as data_dir:
        running = RunningServer(data_dir, ("--workers", "1"), None)
        try:
            yield running.wait_until_ready()
        finally:
            running.close()


@pytest.fixture(scope="module")
def socket(server: RunningServer) -> Iterator[str]:
    """The socket of an nginx before the server."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip("nginx is not installed")
    with tempfile.TemporaryDirectory(prefix="bulkport-nginx-") as folder:
        user = "user root;" if os.geteuid() == 0 else ""
        settings = Path(folder) / "nginx.conf"
        settings.write_text(_SETTINGS.format(folder=folder, url=server.url, user=user))
        nginx = subprocess.Popen([program, "-c", str(settings), "-p", folder], stderr=subprocess.DEVNULL)
        try:
            until(Path(folder, "socket").exists, "nginx to listen")
            yield str(Path(folder, "socket"))
        finally:
            nginx.terminate()
            nginx.wait()


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_events_arrive_one_by_one_and_resume_where_they_stopped(
    server: RunningServer, socket: str, encoding: str
) -> None:
    headers = {"x-api-key": server.make_key(encoding), "accept-encoding": encoding}
    transport = httpx.HTTPTransport(uds=socket)
    with httpx.Client(transport=transport, base_url="http://proxy.example", headers=headers, timeout=60) as client:
        tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        answer = client.post(
            "/api/platforms/bulk", params={"startAt": tomorrow}, json={"platforms": [{"platformName": encoding}]}
        )
        address = f"/api/imports/{answer.json()['id']}"
        with client.stream("GET", f"{address}/events") as stream:
            assert stream.headers.get("content-encoding", "identity") == encoding
            events = _events(stream.iter_lines())
            # The import waits until tomorrow: whoever held this event back would hold it until then.
            first = next(events)
            assert (first["event"], first["data"]["status"]) == ("state", "Scheduled")
            assert client.delete(address).json()["status"] == "Cancelled"
            last = next(events)
            assert (last["event"], last["data"]["status"]) == ("done", "Cancelled")
            assert next(events, None) is None
        again = client.get(f"{address}/events", headers={"last-event-id": last["id"]})
        assert again.status_code == 204
        with client.stream("GET", f"{address}/events", headers={"last-event-id": first["id"]}) as stream:
            assert [event["event"] for event in _events(stream.iter_lines())] == ["done"]


def _events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    event: dict[str, Any] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if name in ("id", "event"):
            event[name] = value
        elif name == "data":
            event[name] = json.loads(value)
        elif not line and "event" in event:
            yield event
            event = {}
