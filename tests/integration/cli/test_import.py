"""`commandapi import` against a real server: what it says, and its exit code."""

import gzip
import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from running_server import RunningServer, commandapi, temporary_data_dir

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

GOOD = b"platformName\nDocker\nGit\nPostgreSQL\n"
SOME_BAD = b"platformName\nDocker\n" + b"x" * 101 + b"\nGit\n"
ALL_BAD = b"platformName\n" + b"x" * 101 + b"\n"


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with temporary_data_dir(is_made=True) as data_dir:
        running = RunningServer(data_dir, ("--workers", "1"), {"COMMANDAPI_MAX_BODY_BYTES": "1000000"})
        try:
            yield running.wait_until_ready()
        finally:
            running.close()


@pytest.fixture(scope="module")
def key(server: RunningServer) -> str:
    return server.make_key()


class Importer:
    """Runs `commandapi import` with the server's address and a key."""

    def __init__(self, server: RunningServer, key: str) -> None:
        self._server = server
        self._key = key

    def __call__(
        self,
        file: Path | str,
        *options: str,
        resource: str = "platforms",
        stdin: bytes | None = None,
        key: str | None = None,
        url: str | None = None,
    ) -> tuple[int, str, str]:
        done = commandapi(
            "import",
            str(file),
            "--resource",
            resource,
            "--url",
            url or self._server.url,
            *options,
            data_dir=self._server.data_dir,
            extra={"COMMANDAPI_API_KEY": self._key if key is None else key, "COLUMNS": "200"},
            stdin=stdin,
        )
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout, done.stderr


@pytest.fixture
def run(server: RunningServer, key: str) -> Importer:
    return Importer(server, key)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "platforms.csv"
    path.write_bytes(GOOD)
    return path


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_all_rows_imported_is_exit_code_0(run: Importer, good: Path) -> None:
    code, output, messages = run(good)
    assert code == 0
    assert "Completed" in output
    assert f"uploaded platforms.csv: {len(GOOD)} bytes" in messages
    assert "\x1b" not in output + messages


def test_some_failed_rows_are_exit_code_1_and_are_shown(run: Importer, tmp_path: Path, server: RunningServer) -> None:
    code, output, _ = run(write(tmp_path / "rows.csv", SOME_BAD))
    assert code == 1
    assert "PartialSuccess" in output
    assert "at most 100 characters" in output
    assert f"{server.url}/api/imports/" in output


def test_no_row_imported_is_exit_code_2(run: Importer, tmp_path: Path) -> None:
    code, output, _ = run(write(tmp_path / "rows.csv", ALL_BAD))
    assert code == 2
    assert "Failed" in output


def test_a_strict_import_with_a_bad_row_is_exit_code_2(run: Importer, tmp_path: Path) -> None:
    code, output, _ = run(write(tmp_path / "rows.csv", SOME_BAD), "--strict")
    assert code == 2
    assert "Failed" in output


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.csv.gz", gzip.compress(GOOD, mtime=0)),
        ("rows.csv.zst", zstd.compress(GOOD)),
        ("rows.tsv", b"id\tplatformName\n1\tGit, the\n"),
        ("rows.ndjson", b'{"platformName":"Git"}\n{"platformName":"Docker"}\n'),
        ("rows.jsonl.gz", gzip.compress(b'{"platformName":"Git"}\n', mtime=0)),
        ("rows.json", b'{"platforms":[{"platformName":"Git"}]}'),
    ],
)
def test_the_file_suffix_determines_the_format(run: Importer, tmp_path: Path, name: str, content: bytes) -> None:
    code, output, messages = run(write(tmp_path / name, content))
    assert code == 0, messages
    assert "Completed" in output


def test_format_and_delimiter_can_be_given(run: Importer, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.txt", b"platformName;note\nGit;x\n")
    code, _, messages = run(path)
    assert code == 2
    assert "--format" in messages
    assert run(path, "--format", "csv", "--delimiter", ";")[0] == 0


def test_standard_input_is_streamed(run: Importer) -> None:
    code, _output, messages = run("-", "--format", "csv", stdin=GOOD)
    assert code == 0
    assert f"uploaded standard input: {len(GOOD)} bytes" in messages
    code, _, messages = run("-", stdin=GOOD)
    assert code == 2
    assert "Pass the format of standard input" in messages


def test_unknown_fields_cause_a_warning(run: Importer, tmp_path: Path) -> None:
    code, output, _ = run(write(tmp_path / "rows.ndjson", b'{"platformName":"Git","colour":"red"}\n'))
    assert code == 0
    assert "warning: " in output
    assert "colour" in output


def test_commands_find_their_platform_by_name(run: Importer, good: Path, tmp_path: Path) -> None:
    run(good)
    rows = [
        {"platformName": "Git", "howTo": "Show the state", "commandLine": "git status"},
        {"platformName": "Nothing", "howTo": "x", "commandLine": "y"},
    ]
    path = write(tmp_path / "commands.ndjson", b"".join(json.dumps(row).encode() + b"\n" for row in rows))
    code, output, _ = run(path, resource="commands")
    assert code == 1
    assert "Nothing" in output


def test_with_no_follow_the_import_is_only_accepted(run: Importer, good: Path, server: RunningServer) -> None:
    code, output, _ = run(good, "--no-follow")
    assert code == 0
    assert f"is queued; follow it at {server.url}/api/imports/" in output


def test_bad_rows_of_an_envelope_are_shown(run: Importer, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.json", b'{"platforms":[{"platformName":"Git"},{"platformName":" "}]}')
    code, _, messages = run(path)
    assert code == 2
    assert "error: 400 " in messages
    assert "platforms[1].platformName: " in messages


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("broken.json", b'{"platforms":[', "error: 400 "),
        ("broken.csv.gz", gzip.compress(GOOD, mtime=0)[:-5], "error: 400 "),
        ("header.csv", b"colour\nred\n", "platformName"),
        ("large.ndjson", b'{"platformName":"Git"}\n' * 50_000, "error: 413 "),
    ],
)
def test_a_rejected_body_is_exit_code_2_with_the_reason(
    run: Importer, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    code, _, messages = run(write(tmp_path / name, content))
    assert code == 2
    assert message in messages


def test_a_file_that_cannot_be_sent_is_exit_code_2_with_the_reason(run: Importer, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()
    (tmp_path / "folder.csv").mkdir()
    for name, reason in [
        ("missing.csv", "does not exist"),
        ("empty.csv", "is empty"),
        ("folder.csv", "is a folder"),
    ]:
        code, _, messages = run(tmp_path / name)
        assert code == 2
        assert reason in " ".join(messages.split())


def test_a_wrong_key_is_exit_code_2_with_a_hint(run: Importer, good: Path) -> None:
    code, _, messages = run(good, key="wrong")
    assert code == 2
    assert "error: 401 " in messages
    assert "COMMANDAPI_API_KEY" in messages


def test_a_missing_key_is_exit_code_2_with_a_hint(run: Importer, good: Path) -> None:
    code, _, messages = run(good, key="")
    assert code == 2
    assert "an API key is required: --api-key or COMMANDAPI_API_KEY" in messages


def test_an_unreachable_server_is_exit_code_2_with_its_address(run: Importer, good: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    code, _, messages = run(good, url=url)
    assert code == 2
    assert f"{url} cannot be reached" in messages


def test_the_address_of_another_service_is_exit_code_2(run: Importer, good: Path, server: RunningServer) -> None:
    code, _, messages = run(good, url=f"{server.url}/elsewhere")
    assert code == 2
    assert "error: 404 " in messages
    assert "--url" in messages


def test_an_unknown_resource_is_rejected_before_anything_is_sent(run: Importer, good: Path) -> None:
    code, _, messages = run(good, resource="gadgets")
    assert code == 2
    assert "platforms, commands" in messages
