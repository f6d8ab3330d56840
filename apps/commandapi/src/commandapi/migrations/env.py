"""Alembic's entry point: one transaction for the whole run, one run at a time."""

from collections.abc import Collection

from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo
from sqlalchemy import Connection, NullPool, create_engine, text

from commandapi.migrations import checksum

# Any constant will do; it must only differ from the advisory locks of other programs in the same database.
_MIGRATION_LOCK = 0x62756C6B706F7274


_CHECKSUMS = """
    CREATE TABLE IF NOT EXISTS public.alembic_version_checksums (revision text PRIMARY KEY, checksum text NOT NULL)
"""


def run() -> None:
    """Apply the migrations that the caller asked for."""
    engine = create_engine(context.config.attributes["database_url"], poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        context.configure(
            connection=connection, target_metadata=None, on_version_apply=_record, version_table_schema="public"
        )
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


def _record(ctx: MigrationContext, step: MigrationInfo, heads: Collection[object], run_args: object) -> None:
    """Record the checksum of a revision, so that a later change is detected."""
    connection: Connection | None = ctx.connection
    assert connection is not None
    connection.execute(text(_CHECKSUMS))
    for revision in step.source_revision_ids if not step.is_upgrade else step.destination_revision_ids:
        connection.execute(
            text("DELETE FROM public.alembic_version_checksums WHERE revision = :one"), {"one": revision}
        )
        if step.is_upgrade:
            row = {"one": revision, "checksum": checksum(revision)}
            connection.execute(text("INSERT INTO public.alembic_version_checksums VALUES (:one, :checksum)"), row)


run()
