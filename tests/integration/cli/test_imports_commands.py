"""`commandapi imports …` and `export` against a real server."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from running_server import RunningServer, commandapi, temporary_data_dir
from tusclient.client import TusClient


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with temporary_data_dir() as data_dir:
        running = RunningServer(data_dir, ("--workers", "1"), {})
        try:
            yield running.wait_until_ready()
        finally:
            running.close()


def test_imports_are_listed_shown_watched_and_exported(server: RunningServer, tmp_path: Path) -> None:
    key = server.make_key()

    def run(*arguments: str, expects: int = 0) -> Any:
        done = commandapi(*arguments, "--url", server.url, "--api-key", key, data_dir=server.data_dir)
        assert done.returncode == expects, done.stderr + done.stdout
        return done

    assert run("imports", "list").stdout.strip() == "No imports."
    file = tmp_path / "rows.csv"
    file.write_text(f"platformName\nDocker\n{'x' * 101}\nGit\n")
    rejected = tmp_path / "rejected.csv"
    imported = run(
        "import", str(file), "--resource", "platforms", "--name", "July", "--errors-to", str(rejected), expects=1
    )
    assert "rejected rows are in" in imported.stdout
    assert rejected.read_text().count("\n") == 2

    (listed,) = [json.loads(line) for line in run("imports", "list", "--json").stdout.splitlines()]
    assert (listed["status"], listed["name"], listed["failureCount"]) == ("PartialSuccess", "July", 1)
    number = str(listed["id"])
    assert "July" in run("imports", "list").stdout
    assert json.loads(run("imports", "show", number, "--json").stdout) == listed
    assert "at most 100" in run("imports", "show", number).stdout
    assert json.loads(run("imports", "watch", number, "--json").stdout.splitlines()[-1])["status"] == "PartialSuccess"
    assert "PartialSuccess" in run("imports", "watch", number).stdout
    assert run("imports", "watch").stdout.strip() == "No imports are running."
    assert json.loads(run("imports", "errors", number).stdout)["row"] == 2
    again = tmp_path / "again.ndjson"
    run("imports", "errors", number, "--to", str(again))
    assert json.loads(again.read_text())["row"] == 2
    exported = tmp_path / "all.csv"
    run("export", "platforms", str(exported))
    assert exported.read_text() == "platformName\nDocker\nGit\n"

    ended = run("imports", "cancel", number, expects=2)
    assert "409" in ended.stderr
    assert "404" in run("imports", "show", "999999", expects=2).stderr
    missing = commandapi("imports", "list", "--url", server.url, data_dir=server.data_dir)
    assert missing.returncode == 2
    assert "an API key is needed" in missing.stderr


def test_a_tus_library_uploads_in_pieces_and_goes_on(server: RunningServer, tmp_path: Path) -> None:
    key = server.make_key("tus")
    file = tmp_path / "rows.csv"
    file.write_bytes(b"platformName\n" + b"".join(b"tus %d\n" % number for number in range(100_000)))
    client = TusClient(f"{server.url}/api/uploads", headers={"x-api-key": key})
    metadata = {"filename": file.name}
    with file.open("rb") as stream:
        begun = client.uploader(file_stream=stream, chunk_size=500_000, metadata=metadata, upload_checksum=True)
        begun.upload(stop_at=500_000)
    # Another process goes on where the first one stopped.
    with file.open("rb") as stream:
        resumed = client.uploader(file_stream=stream, chunk_size=500_000, url=begun.url, upload_checksum=True)
        assert resumed.offset == 500_000
        resumed.upload()
    with server.client(key) as api:
        upload_id = begun.url.rpartition("/")[2]
        answer = api.post(
            "/api/platforms/bulk", json={"upload": upload_id}, headers={"prefer": "respond-async, wait=30"}
        )
        assert (answer.status_code, answer.json()["successCount"]) == (200, 100_000)
