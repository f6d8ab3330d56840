"""Data folders and servers for the tests of the command line."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from running_server import RunningServer, make_data_dir, temporary_data_dir


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with temporary_data_dir() as data_dir:
        yield data_dir


@pytest.fixture
def start_server(data_dir: Path) -> Iterator[Callable[..., RunningServer]]:
    """Starts servers on the test's data folder, by default on a database that was made before."""
    servers: list[RunningServer] = []

    def start(
        *arguments: str, extra: Mapping[str, str] | None = None, is_first: bool = False, before: str = ""
    ) -> RunningServer:
        if not is_first and not data_dir.exists() and "COMMANDAPI_DATABASE_URL" not in (extra or {}):
            make_data_dir(data_dir)
        servers.append(RunningServer(data_dir, arguments, extra, before=before))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
