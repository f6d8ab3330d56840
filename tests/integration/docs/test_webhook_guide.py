"""The receivers of the guide to webhooks verify what a server sends, and refuse what it does not."""

import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from running_server import RunningServer, environment, temporary_data_dir, until

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "guides" / "webhooks.md"
LOOPBACK = {"COMMANDAPI_EGRESS_ALLOWED_NETWORKS": "127.0.0.0/8", "COMMANDAPI_EGRESS_ALLOW_HTTP": "true"}


def block(language: str) -> str:
    (text,) = re.findall(rf"^```{language}\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return text


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with temporary_data_dir(is_made=True) as data_dir:
        running = RunningServer(data_dir, ("--workers", "1"), LOOPBACK)
        try:
            yield running.wait_until_ready()
        finally:
            running.close()


@pytest.mark.parametrize("language", ["python", "javascript"])
def test_the_guides_receiver_accepts_messages_and_rejects_forged_ones(
    server: RunningServer, tmp_path: Path, language: str
) -> None:
    needed = {"python": "curl", "javascript": "node"}[language]
    if shutil.which(needed) is None or shutil.which("curl") is None:
        pytest.skip(f"{needed} is not installed")
    key, port = server.make_key(language), free_port()
    path = "/hooks/imports" if language == "python" else "/"
    added = subprocess.run(
        ["bash", "-c", block("bash")],
        env={
            **environment(server.data_dir),
            "BASE_URL": server.url,
            "KEY": key,
            "RECEIVER_URL": f"http://127.0.0.1:{port}{path}",
            "NO_PROXY": "127.0.0.1",
        },
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    webhook = json.loads(added.stdout)
    if language == "python":
        (tmp_path / "receiver.py").write_text(block(language), encoding="utf-8")
        command = [sys.executable, "-m", "uvicorn", "receiver:app", "--port", str(port)]
    else:
        (tmp_path / "receiver.mjs").write_text(block(language), encoding="utf-8")
        command = ["node", "receiver.mjs"]
    output = tmp_path / "output"
    with output.open("wb") as stream:
        receiver = subprocess.Popen(
            command,
            cwd=tmp_path,
            env={**environment(server.data_dir), "WEBHOOK_SECRET": webhook["secret"], "PORT": str(port)},
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    try:
        until(lambda: _listens(port), "the receiver to listen")
        forged = {"webhook-id": "msg_1", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"}
        with httpx.Client(trust_env=False) as stranger:
            answer = stranger.post(f"http://127.0.0.1:{port}{path}", content=b"{}", headers=forged)
        assert answer.status_code == 400
        with server.client(key) as api:
            accepted = api.post("/api/platforms/bulk", json={"platforms": [{"platformName": "Docker"}]}).json()
            words = f"received import.completed {accepted['id']}"
            until(lambda: words in output.read_text(), output.read_text() + words)
            api.post(f"/api/webhooks/{webhook['id']}/ping").raise_for_status()
            until(lambda: _delivered(api, webhook["id"]) == 2, "both deliveries to be taken")
            rotated = api.post(f"/api/webhooks/{webhook['id']}/secret")
            assert rotated.status_code == 200
            # The old secret is good for a day.
            api.post("/api/platforms/bulk", json={"platforms": [{"platformName": "Git"}]}).raise_for_status()
            until(lambda: _delivered(api, webhook["id"]) == 3, "a message with two signatures to be taken")
    finally:
        receiver.terminate()
        receiver.wait(60)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _delivered(api: httpx.Client, webhook_id: int) -> int:
    items = api.get(f"/api/webhooks/{webhook_id}/deliveries").json()["items"]
    return sum(item["state"] == "delivered" for item in items)
