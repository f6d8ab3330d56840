"""`commandapi imports …` and `export` against a real server."""

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from tusclient.client import TusClient

from running_server import DEADLINE_SECONDS, RunningServer, commandapi, environment, temporary_data_dir


class Commands:
    """Runs commands against a server with a key."""

    def __init__(self, server: RunningServer, key: str) -> None:
        self._server = server
        self._key = key

    def __call__(self, *arguments: str, expects: int = 0) -> Any:
        with_key = (*arguments, "--url", self._server.url, "--api-key", self._key)
        done = commandapi(*with_key, data_dir=self._server.data_dir)
        assert done.returncode == expects, done.stderr + done.stdout
        return done


# The terminal is the program's own, so that its Ctrl-C is a signal.
_IN_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


class Terminal:
    """A command in a pseudo-terminal."""

    def __init__(self, server: RunningServer, *arguments: str) -> None:
        self._end, other = pty.openpty()
        self._seen = b""
        self._process = subprocess.Popen(
            [sys.executable, "-c", _IN_TERMINAL, sys.executable, "-m", "commandapi", *arguments],
            env=environment(server.data_dir, {"TERM": "xterm", "COLUMNS": "200"}),
            stdin=other,
            stdout=other,
            stderr=other,
            start_new_session=True,
        )
        os.close(other)

    def write(self, keys: bytes) -> None:
        os.write(self._end, keys)

    def read_until(self, text: bytes, *, again: bytes = b"") -> bytes:
        """What was shown since the last call, up to `text`. While nothing is shown, the keys `again` are pressed again.

        An interrupt that comes just before Python waits for a key is noticed at the next key.
        """
        deadline = time.monotonic() + DEADLINE_SECONDS
        while text not in self._seen:
            assert time.monotonic() < deadline, self._seen
            if not select.select([self._end], [], [], 5)[0]:
                self.write(again)
            else:
                try:
                    self._seen += os.read(self._end, 65536)
                except OSError:  # the program has ended
                    break
        assert text in self._seen, self._seen
        shown, _, self._seen = self._seen.partition(text)
        return shown + text

    def wait(self) -> int:
        return self._process.wait(DEADLINE_SECONDS)

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._end)


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with temporary_data_dir(is_made=True) as data_dir:
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
    watched = run("imports", "watch", number, "--json", expects=1)
    assert json.loads(watched.stdout.splitlines()[-1])["status"] == "PartialSuccess"
    watched = run("imports", "watch", number, expects=1).stdout
    assert "PartialSuccess" in watched
    assert watched.endswith("\n")
    assert run("imports", "watch").stdout.strip() == "No imports are running."
    assert json.loads(run("imports", "errors", number, "--json").stdout)["row"] == 2
    assert "at most 100" in run("imports", "errors", number).stdout
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
    assert "an API key is required" in missing.stderr


def test_an_import_is_dry_run_corrected_retried_and_undone(server: RunningServer, tmp_path: Path) -> None:
    run = Commands(server, server.make_key("grace"))
    file = tmp_path / "rows.csv"
    file.write_text(f"Article no.,note\nDocker,1\n{'x' * 101},2\nGit,3\n")
    sent = ("import", str(file), "--resource", "platforms", "--map", "Article no.:platformName", "-o", "results=ids")

    dry = run(*sent, "--dry-run", expects=1)
    assert "dry run: nothing was imported" in dry.stdout
    rejected = tmp_path / "rejected.xlsx"
    first = json.loads(run(*sent, "--json", "--errors-to", str(rejected), expects=1).stdout)
    assert (first["created"], first["failureCount"]) == (2, 1)
    number = str(first["id"])
    outcomes = [json.loads(line) for line in run("imports", "results", number, "--json").stdout.splitlines()]
    assert [one["outcome"] for one in outcomes] == ["created", "failed", "created"]
    assert "created" in run("imports", "results", number).stdout

    book = openpyxl.load_workbook(rejected)
    sheet = book.active
    assert sheet is not None
    sheet["A2"] = "Helm"
    book.save(rejected)
    again = json.loads(run("imports", "retry", number, str(rejected), "--json").stdout)
    assert (again["status"], again["created"], again["retryOf"]) == ("Completed", 1, first["id"])
    assert "imported" in run("imports", "retry", number, expects=2).stdout
    assert "409" in run("imports", "retry", number, expects=2).stderr

    later = f"startAt={(datetime.now(UTC) + timedelta(days=1)).isoformat()}"
    waiting = json.loads(run(*sent, "--no-follow", "--json", "-o", later).stdout)
    listed = run("imports", "list", "--status", "Scheduled", "--json").stdout
    assert [json.loads(line)["id"] for line in listed.splitlines()] == [waiting["id"]]
    gone = json.loads(run("imports", "cancel", str(waiting["id"]), "--rollback", "--json").stdout)
    assert (gone["status"], gone["undone"]["removed"]) == ("Cancelled", 0)
    assert "409" in run("imports", "cancel", number, "--rollback", expects=2).stderr

    nowhere = str(tmp_path / "nowhere" / "rows.csv")
    for command in (("imports", "errors", number, "--to", nowhere), ("export", "platforms", nowhere)):
        assert f"{nowhere} cannot be written" in run(*command, expects=2).stderr
    assert "cannot be written" in run(*sent, "--errors-to", str(tmp_path), expects=2).stderr

    assert "2 rows removed" in run("imports", "undo", number).stdout
    assert "409" in run("imports", "undo", number, expects=2).stderr
    names = run("export", "platforms", "-", "--search", "Helm", "--format", "ndjson").stdout
    assert json.loads(names) == {"platformName": "Helm"}
    assert run("export", "platforms", "-", "--search", "Docker").stdout.count("Docker") <= 1


def test_an_import_with_a_bad_row_is_undone_on_request(server: RunningServer, tmp_path: Path) -> None:
    run = Commands(server, server.make_key("undoer"))
    file = tmp_path / "rows.csv"
    file.write_text(f"platformName\nUndone one\n{'x' * 101}\nUndone two\n")
    rejected = tmp_path / "rejected.ndjson"
    sent = ("import", str(file), "--resource", "platforms", "--undo-on-error", "--errors-to", str(rejected))
    done = run(*sent, expects=2)
    assert "2 rows removed" in done.stdout
    assert json.loads(rejected.read_text())["row"] == 2
    assert json.loads(run(*sent, "--json", expects=2).stdout)["undone"]["removed"] == 2
    assert run("export", "platforms", "-", "--search", "Undone").stdout == "platformName\n"
    file.write_text("platformName\nUndone three\n")
    assert "removed" not in run(*sent).stdout


@pytest.mark.parametrize(
    ("file_format", "magic"), [("xlsx", b"PK"), ("parquet", b"PAR1"), ("csv", b"platformName"), ("ndjson", b"{")]
)
def test_an_export_writes_a_file_of_each_format(
    server: RunningServer, tmp_path: Path, file_format: str, magic: bytes
) -> None:
    run = Commands(server, server.make_key("exporter"))
    (tmp_path / "rows.csv").write_text("platformName\nExported\n")
    run("import", str(tmp_path / "rows.csv"), "--resource", "platforms")
    file = tmp_path / f"all.{file_format}"
    told = json.loads(run("export", "platforms", str(file), "--json").stdout)
    assert told == {"file": str(file), "bytes": file.stat().st_size}
    assert file.read_bytes().startswith(magic)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(
    ("answer", "said"),
    [(b"cancel\n", b"is cancelled"), (b"continue\n", b"continues"), (b"\n", b"continues"), (b"\x03", b"continues")],
)
def test_ctrl_c_asks_whether_to_cancel(server: RunningServer, tmp_path: Path, answer: bytes, said: bytes) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("platformName\nLater\n")
    # It waits for its time, so that there is something to interrupt.
    later = f"startAt={(datetime.now(UTC) + timedelta(days=1)).isoformat()}"
    address = ("--url", server.url, "--api-key", server.make_key("patient"))
    terminal = Terminal(server, "import", str(file), "--resource", "platforms", "-o", later, *address)
    try:
        terminal.read_until(b"waiting for a worker")
        terminal.write(b"\x03")
        terminal.read_until(b"continue)")
        terminal.write(answer)
        terminal.read_until(said, again=answer if answer == b"\x03" else b"")
        assert terminal.wait() == 130
    finally:
        terminal.close()


def test_a_tus_library_uploads_in_parts_and_resumes(server: RunningServer, tmp_path: Path) -> None:
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
