"""Database migrations: Alembic, driven from the program so that they work from an installed wheel.

Every table is here, those of Bulkport and of its background engine included.
"""

from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import NullPool, create_engine
from sqlalchemy.engine import make_url


@dataclass(frozen=True, slots=True)
class MigrationState:
    """Where a database stands."""

    current: str | None
    """Revision of the database; None before the first migration."""
    head: str
    """Newest revision this program knows."""

    @property
    def is_current(self) -> bool:
        """Whether the database is at this program's newest revision."""
        return self.current == self.head


def upgrade(database_url: str, revision: str = "head") -> MigrationState:
    """Migrate up to `revision`; does nothing where the database is there already.

    Two processes may call it at once: the second waits for the first.
    """
    command.upgrade(_config(database_url), revision)
    return state(database_url)


def downgrade(database_url: str, revision: str = "base") -> MigrationState:
    """Migrate down to `revision`; `base` removes every table with its data, `-1` undoes one migration."""
    command.downgrade(_config(database_url), revision)
    return state(database_url)


def state(database_url: str) -> MigrationState:
    """Which revision the database has and which one this program needs."""
    head = ScriptDirectory.from_config(_config(database_url)).get_current_head()
    if head is None:
        raise RuntimeError("this installation carries no migrations")
    engine = create_engine(sqlalchemy_url(database_url), poolclass=NullPool)
    with engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    engine.dispose()
    return MigrationState(current=current, head=head)


def sqlalchemy_url(database_url: str) -> str:
    """The same database with SQLAlchemy's name for psycopg 3 (`postgresql+psycopg://…`)."""
    return make_url(database_url).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def _config(database_url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["database_url"] = sqlalchemy_url(database_url)
    return config
