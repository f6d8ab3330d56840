"""Database migrations: Alembic, driven from the program so that they work from an installed wheel.

Every table is here, those of Bulkport and of its background engine included. Alembic is loaded only where it migrates:
a server that asks where its database stands need not carry it along for its whole life.
"""

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psycopg

from bulkport import migrations as library_migrations
from bulkport.errors import BulkportError

if TYPE_CHECKING:
    from alembic.config import Config

SELECT_CURRENT: Final = "SELECT version_num FROM public.alembic_version"
_SELECT_CHECKSUMS: Final = "SELECT revision, checksum FROM public.alembic_version_checksums"


class MigrationFailed(BulkportError):
    """The database could not be migrated."""


@dataclass(frozen=True, slots=True)
class MigrationState:
    """The migration state of a database."""

    current: str | None
    """Revision of the database; None before the first migration."""
    head: str
    """Newest revision this program knows."""
    changed: tuple[str, ...] = ()
    """What another state of a migration of the same number has made there; the tables may differ."""

    @property
    def is_current(self) -> bool:
        """Whether the database is at this program's newest revision."""
        return self.current == self.head

    @property
    def is_usable(self) -> bool:
        """Whether this program can work on the database: nothing that it needs is missing.

        A newer version may have migrated it, while this one is still there: migrations leave what the version before
        them uses. Revisions are counted, so that a later one is greater.
        """
        return self.current is not None and self.current.isdecimal() and self.current >= self.head


def head() -> str:
    """The newest revision this program knows. Files are named for their revision, which are counted."""
    return max(_revisions())


def _revisions() -> frozenset[str]:
    return frozenset(_files())


def _files() -> dict[str, Path]:
    """The file of each revision."""
    return {path.name.partition("_")[0]: path for path in (Path(__file__).parent / "versions").glob("[0-9]*.py")}


def checksum(revision: str) -> str:
    """SHA-256 of a revision's file, which does not change any more once it is released."""
    return hashlib.sha256(_files()[revision].read_text(encoding="utf-8").encode()).hexdigest()


def state(database_url: str) -> MigrationState:
    """Which revision the database has and which one this program needs.

    Raises
    ------
    psycopg.Error
        If the database cannot be asked.
    """
    with psycopg.connect(database_url, autocommit=True) as connection:
        try:
            row = connection.execute(SELECT_CURRENT).fetchone()
        except psycopg.errors.UndefinedTable:
            row = None
        if row is None:
            return MigrationState(current=None, head=head())
        return MigrationState(current=row[0], head=head(), changed=tuple(_changed(connection, row[0])))


def _changed(connection: psycopg.Connection[tuple[str, str]], current: str) -> list[str]:
    try:
        applied = dict(connection.execute(_SELECT_CHECKSUMS).fetchall())
    except psycopg.errors.UndefinedTable:
        applied = {}
    except psycopg.errors.InsufficientPrivilege:
        return []  # whoever migrates may look
    differing = [one for one in sorted(_revisions()) if one <= current and applied.get(one) != checksum(one)]
    return differing + [f"{one.version:04}_{one.name} of Bulkport" for one in library_migrations.changed(connection)]


def upgrade(database_url: str, revision: str = "head") -> MigrationState:
    """Upgrade to `revision`; does nothing if the database is already there.

    Two processes may call it at once: the second waits for the first.

    Raises
    ------
    MigrationFailed
        Another version of the program made the database, and this one does not know its tables.
    """
    from alembic import command  # noqa: PLC0415

    found = state(database_url)
    current = found.current
    if current is not None and current not in _revisions():
        raise MigrationFailed(
            f"The database is at revision {current}, which this version does not know: another one made it, newer or "
            "from before the first release. Use that version, or an empty database: another COMMANDAPI_DATA_DIR for "
            "the embedded one."
        )
    require_unchanged(found)
    command.upgrade(_config(database_url), revision)
    return state(database_url)


def require_unchanged(found: MigrationState) -> None:
    """Refuse a database that another state of these migrations has made.

    Raises
    ------
    MigrationFailed
        It is such a one; the message says what to do.
    """
    if found.changed:
        raise MigrationFailed(
            f"The database was made by another state of the migrations {', '.join(found.changed)} than this program "
            "has, so its tables may differ. Use the version that made it, or an empty database; or start over, which "
            "deletes all that is in it: commandapi db downgrade base, then commandapi db upgrade"
        )


def upgrade_apart(database_url: str) -> MigrationState:
    """`upgrade` in a process of its own, for a server that lives long after it.

    Raises
    ------
    MigrationFailed
        The process failed; the error has what it said.
    """
    # -P: a folder named commandapi where the program is run from must not be taken for the package.
    done = subprocess.run(  # the program itself
        [sys.executable, "-P", "-m", "commandapi", "db", "upgrade"],
        env={**os.environ, "COMMANDAPI_DATABASE_URL": database_url},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise MigrationFailed(f"The database could not be migrated.\n{done.stderr.decode(errors='replace').strip()}")
    return state(database_url)


def downgrade(database_url: str, revision: str = "base") -> MigrationState:
    """Migrate down to `revision`; `base` removes every table with its data, `-1` undoes one migration."""
    from alembic import command  # noqa: PLC0415

    command.downgrade(_config(database_url), revision)
    return state(database_url)


def sqlalchemy_url(database_url: str) -> str:
    """The same database with SQLAlchemy's name for psycopg 3 (`postgresql+psycopg://…`)."""
    from sqlalchemy.engine import make_url  # noqa: PLC0415

    return make_url(database_url).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def _config(database_url: str) -> "Config":
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["database_url"] = sqlalchemy_url(database_url)
    return config
