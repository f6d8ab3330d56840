"""The one PostgreSQL of a run, its tables, and the quiet between two measures.

The product's tables are its own, from its migrations. The peers write to tables of the same definition (columns,
defaults, identity, keys, indexes, foreign keys) in the schema `peer`.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from bench.dataset import Dataset
from bulkport import embedded

SETTINGS_SHOWN = (
    "server_version",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_level",
    "shared_buffers",
    "max_wal_size",
    "wal_compression",
    "autovacuum",
)

_QUIET_PATIENCE_SECONDS = 10.0
_ACTIVE_BACKENDS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE pid <> pg_backend_pid() AND state <> 'idle' AND backend_type IN ('client backend', 'autovacuum worker')
"""


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Run a fresh PostgreSQL with the product's settings in `folder` and yield its URL."""
    with embedded.open_server(folder / "data") as server:
        yield server.url


class Database:
    """What the measures do to the database between their runs."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection = psycopg.connect(url, autocommit=True)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def settings(self) -> dict[str, str]:
        """The settings that bear on writing, fsync first of all."""
        rows = self._connection.execute(
            "SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY(%s) ORDER BY name",
            [list(SETTINGS_SHOWN)],
        )
        return dict(rows.fetchall())

    def create_peer_tables(self) -> None:
        """Copy the definitions of platforms and commands, foreign keys included, into the schema `peer`."""
        self._connection.execute("DROP SCHEMA IF EXISTS peer CASCADE")
        self._connection.execute("CREATE SCHEMA peer")
        for table in ("platforms", "commands"):
            self._connection.execute(
                sql.SQL("CREATE TABLE peer.{0} (LIKE public.{0} INCLUDING ALL)").format(sql.Identifier(table))
            )
        foreign_keys = self._connection.execute(
            """
            SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint
            WHERE contype = 'f' AND conrelid = 'public.commands'::regclass
            """
        )
        for table, definition in foreign_keys.fetchall():
            moved = definition.replace("REFERENCES ", "REFERENCES peer.", 1)
            self._connection.execute(f"ALTER TABLE peer.{table} ADD {moved}")

    def empty_tables(self, dataset: Dataset | None = None) -> None:
        """Empty the product's and the peers' tables; with a dataset, put its platforms back, numbered from 1."""
        self._connection.execute(
            "TRUNCATE public.commands, public.platforms, peer.commands, peer.platforms RESTART IDENTITY"
        )
        if dataset is not None:
            for schema in ("public", "peer"):
                with (
                    self._connection.cursor() as cursor,
                    cursor.copy(f"COPY {schema}.platforms (id, platform_name) FROM STDIN") as copy,
                ):
                    for row in enumerate(dataset.platform_names, start=1):
                        copy.write_row(row)
                self._connection.execute(
                    "SELECT setval(pg_get_serial_sequence(%s, 'id'), %s)",
                    [f"{schema}.platforms", len(dataset.platform_names)],
                )
                self._connection.execute(f"ANALYZE {schema}.platforms")

    def forget_imports(self) -> None:
        """Remove finished import jobs, their chunks and row errors, so that every run starts alike."""
        self._connection.execute(
            "TRUNCATE bulkport.bulk_import_jobs, bulkport.import_chunks, bulkport.import_row_errors"
        )

    def count(self, table: str) -> int:
        """Rows in a table."""
        row = self._connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        return int(row[0]) if row else 0

    def unfinished_imports(self) -> int:
        """Import jobs that are not final."""
        return self.count("bulkport.bulk_import_jobs WHERE completed_at IS NULL")

    def waiting_jobs(self) -> int:
        """Background jobs that wait in their queues."""
        return self.count("bulkport.jobs WHERE state = 'enqueued'")

    @contextmanager
    def paused_queues(self) -> Iterator[None]:
        """No job starts until the block ends."""
        self._connection.execute("UPDATE bulkport.queues SET paused_at = now(), paused_by = 'bench'")
        try:
            yield
        finally:
            self._connection.execute("UPDATE bulkport.queues SET paused_at = NULL, paused_by = NULL")
            self._connection.execute("SELECT pg_notify('bulkport.jobs', 'queue ' || name) FROM bulkport.queues")

    def settle(self) -> None:
        """Wait until nothing else works in the database, and write a checkpoint.

        Every run, the product's and the peers' alike, then starts with the same write-ahead log distance ahead.
        """
        deadline = time.monotonic() + _QUIET_PATIENCE_SECONDS
        quiet = 0
        while quiet < 4 and time.monotonic() < deadline:
            active = self._connection.execute(_ACTIVE_BACKENDS).fetchone()
            quiet = quiet + 1 if active == (0,) else 0
            time.sleep(0.05)
        self._connection.execute("CHECKPOINT")
