"""`commandapi imports …` and `export` against a real server."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from running_server import RunningServer, commandapi, temporary_data_dir


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
