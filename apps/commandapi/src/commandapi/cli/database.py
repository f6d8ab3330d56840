"""The database that a command uses: the configured or the embedded one."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import psycopg

from bulkport import embedded
from bulkport.backoff import Backoff
from bulkport.database import mask_passwords
from bulkport.errors import BulkportError
from commandapi import migrations
from commandapi.settings import Settings

_log = logging.getLogger(__name__)

_DATABASE: Final = "commandapi"
_SETTINGS: Final = "COMMANDAPI_DATA_DIR sets the data folder, COMMANDAPI_DATABASE_URL another server."


class DatabaseUnreachable(BulkportError):
    """The database cannot be reached."""


class MigrationsMissing(BulkportError):
    """The database does not have the migrations that this program needs."""


@dataclass(frozen=True, slots=True)
class ProvidedDatabase:
    """A running database."""

    url: str
    embedded_server: embedded.EmbeddedServer | None
    """The server behind it where it is the embedded one."""

    def migration_state(self) -> migrations.MigrationState:
        """Which migrations it has and which this program knows.

        Raises
        ------
        DatabaseUnreachable
            It does not answer, or the URL is unusable.
        """
        try:
            return migrations.state(self.url)
        except psycopg.OperationalError as error:
            reason = str(error).strip().splitlines()[0]
            raise DatabaseUnreachable(
                f"The database of COMMANDAPI_DATABASE_URL cannot be reached: {mask_passwords(reason)}"
            ) from error
        except psycopg.ProgrammingError as error:
            reason = str(error).strip().splitlines()[0]
            # What libpq quotes of a URL that it cannot read may be the password: it is not shown at all.
            kind = reason.partition(":")[0].partition('"')[0].strip()
            raise DatabaseUnreachable(f"COMMANDAPI_DATABASE_URL is not a database URL: {kind}") from None

    def wait_until_reachable(self, seconds: float) -> None:
        """Wait for a PostgreSQL that is just starting, as after the start of a whole machine.

        Raises
        ------
        DatabaseUnreachable
            It does not respond in that time, or permanently refuses this user.
        """
        deadline = time.monotonic() + seconds
        waits, has_said = Backoff(0.1, 2.0), False
        while True:
            try:
                with psycopg.connect(self.url, connect_timeout=5):
                    return
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline or not _may_pass(error):
                    reason = mask_passwords(str(error).strip().splitlines()[0])
                    raise DatabaseUnreachable(
                        f"The database of COMMANDAPI_DATABASE_URL cannot be reached: {reason}"
                    ) from error
            except psycopg.ProgrammingError:
                return  # no URL: told of with the migrations
            if not has_said:
                has_said = True
                _log.warning("waiting for PostgreSQL, up to %g seconds", seconds)
            time.sleep(waits.next_delay())

    def wait_until_usable(self, seconds: float) -> None:
        """Wait for a PostgreSQL that is just starting, also when it goes away once more, and see that it is migrated.

        Raises
        ------
        DatabaseUnreachable, MigrationsMissing
            See `wait_until_reachable` and `ensure_migrated`.
        """
        deadline = time.monotonic() + seconds
        while True:
            self.wait_until_reachable(max(0.0, deadline - time.monotonic()))
            try:
                self.ensure_migrated()
            except DatabaseUnreachable as error:
                cause = error.__cause__
                passes = isinstance(cause, psycopg.OperationalError) and _may_pass(cause)
                if not passes or time.monotonic() > deadline:
                    raise
            else:
                return

    def ensure_migrated(self) -> None:
        """Bring the embedded database up to date; a configured one must be so, or newer, since it may serve other
        versions too.

        Raises
        ------
        MigrationsMissing
            A configured database is not at the newest migration.
        MigrationFailed
            Another state of the migrations has made it.
        DatabaseUnreachable
            It does not answer.
        """
        state = self.migration_state()
        migrations.require_unchanged(state)
        if state.is_current or (self.embedded_server is None and state.is_usable):
            return
        if self.embedded_server is None:
            raise MigrationsMissing(
                f"The database is at migration {state.current or '(none)'}, this program needs {state.head}. "
                "Run: commandapi db upgrade"
            )
        after = migrations.upgrade_apart(self.url)
        _log.info("migrated the embedded database from %s to %s", state.current or "(none)", after.current)

    def fit_row_security(self, settings: Settings) -> None:
        """Have PostgreSQL keep users' catalogues apart as well, where each has their own; warn where it may not be.

        The application's own check holds in any case.
        """
        from commandapi import row_security  # noqa: PLC0415  # slow to import

        with psycopg.connect(self.url, autocommit=True) as connection:
            try:
                row_security.fit_row_security(connection, settings.tenancy)
            except psycopg.errors.InsufficientPrivilege:
                _log.warning(
                    "row-level security does not fit COMMANDAPI_TENANCY=%s: run `commandapi db upgrade` with it as the "
                    "owner of the tables platforms and commands",
                    settings.tenancy,
                )


def _may_pass(error: psycopg.OperationalError) -> bool:
    """Whether the server may just be starting, rather than refuse this user or know no such database."""
    return not any(word in str(error) for word in ("password", "authentication", "role ", "does not exist", "pg_hba"))


@contextmanager
def provide_database(settings: Settings) -> Iterator[ProvidedDatabase]:
    """Have a database for as long as the context lasts, starting and stopping the embedded one as needed.

    Raises
    ------
    EmbeddedDatabaseError
        No URL is configured and the embedded database cannot be started.
    """
    # Its "Context impl" lines tell nobody anything.
    logging.getLogger("alembic.runtime.migration").setLevel(logging.WARNING)
    if settings.database_url is not None:
        yield ProvidedDatabase(url=settings.database_url, embedded_server=None)
        return
    try:
        with embedded.open_server(settings.data_dir, database=_DATABASE) as server:
            yield ProvidedDatabase(url=server.url, embedded_server=server)
    except embedded.EmbeddedDatabaseError as error:
        error.detail += f" {_SETTINGS}"
        raise
