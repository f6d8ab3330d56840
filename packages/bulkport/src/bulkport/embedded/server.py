"""The server of a data folder, which runs as long as a process uses it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from bulkport.embedded.binaries import Account, allow_traversal, find_programs
from bulkport.embedded.cluster import SUPERUSER, Cluster
from bulkport.embedded.errors import EmbeddedDatabaseError
from bulkport.embedded.locks import DataFolderUse
from bulkport.embedded.sockets import connection_url

# pg_ctl puts paths between double quotes into a shell's command line.
_UNUSABLE_CHARACTERS: Final = frozenset('"$`\\\n')


class EmbeddedServer:
    """The running server of one data folder. Made by `open_server`."""

    def __init__(self, cluster: Cluster, use: DataFolderUse, database: str) -> None:
        self._cluster = cluster
        self._use = use
        self._database = database

    @property
    def url(self) -> str:
        """Connection URL of the application's database."""
        return self._url_of(self._database)

    @property
    def pid(self) -> int | None:
        """Process id of the server; None when it does not run."""
        return self._cluster.pid

    def is_running(self) -> bool:
        """Whether the server's main process lives. Cheap: it asks the kernel only."""
        return self._cluster.is_running

    def ensure_running(self) -> bool:
        """Start the server unless it runs.

        Returns
        -------
        Whether it had to be started.
        """
        with self._use.alone():
            return self._cluster.ensure_running()

    def join(self) -> None:
        """Start using the server; create and start it if necessary."""
        with self._use.alone():
            self._use.join()
            if not self._cluster.exists:
                self._cluster.create()
            self._cluster.check_version()
            self._cluster.ensure_running()
            self._ensure_database()

    def leave(self) -> None:
        """Stop using the server; the last user stops it."""
        with self._use.alone():
            if self._use.is_last():
                self._cluster.stop()
            self._use.leave()

    def _ensure_database(self) -> None:
        with psycopg.connect(self._url_of("postgres"), autocommit=True) as connection:
            found = connection.execute("SELECT FROM pg_database WHERE datname = %s", (self._database,)).fetchone()
            if found is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self._database)))

    def _url_of(self, database: str) -> str:
        return connection_url(self._cluster.socket_folder, user=SUPERUSER, database=database)


@contextmanager
def open_server(data_dir: Path, *, database: str = "bulkport") -> Iterator[EmbeddedServer]:
    """Have the server of `data_dir` run for as long as the context lasts, making the folder if there is none.

    Parameters
    ----------
    data_dir
        Where the data is kept.
    database
        Name of the database that `EmbeddedServer.url` leads to; made where it is missing.

    Raises
    ------
    EmbeddedDatabaseError
        It cannot be started.
    UnsupportedPlatform
        There is no embedded PostgreSQL for this platform.
    """
    data_dir = data_dir.expanduser().resolve()
    folder = data_dir / "postgres"
    try:
        programs = find_programs(owner=folder.stat().st_uid if folder.exists() else None)
        _make_data_folder(data_dir, programs.account)
    except OSError as error:
        raise EmbeddedDatabaseError(f"The data folder {data_dir} cannot be used: {error}") from error
    with DataFolderUse(data_dir) as use:
        server = EmbeddedServer(Cluster(folder, programs), use, database)
        try:
            server.join()
            yield server
        finally:
            server.leave()


def _make_data_folder(data_dir: Path, account: Account) -> None:
    if unusable := sorted(_UNUSABLE_CHARACTERS.intersection(str(data_dir))):
        raise EmbeddedDatabaseError(
            f"The data folder {data_dir} cannot be used: its path holds {' '.join(unusable)}, which PostgreSQL's "
            "pg_ctl gives to a shell. Choose another data folder."
        )
    data_dir.mkdir(parents=True, exist_ok=True)
    if not os.access(data_dir, os.W_OK | os.X_OK):
        raise PermissionError(f"{data_dir} is not writable")
    if account.changes_user:
        allow_traversal(data_dir / "postgres")
