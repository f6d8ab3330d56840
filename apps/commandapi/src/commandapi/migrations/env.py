"""Alembic's entry point: one transaction for the whole run, one run at a time."""

from alembic import context
from sqlalchemy import NullPool, create_engine, text

# Any constant will do; it must only differ from the advisory locks of other programs in the same database.
_MIGRATION_LOCK = 0x62756C6B706F7274


def run() -> None:
    """Apply the migrations that the caller asked for."""
    engine = create_engine(context.config.attributes["database_url"], poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        context.configure(connection=connection, target_metadata=None)
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


run()
