"""What a migration does, as statements for whichever driver runs them.

Each function is a generator: it yields scripts, is sent the rows of their last statement, and returns its result. So
the same steps run on a sync and on an async connection, and can be written down as a script.
"""

from collections.abc import Generator, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from bulkport.database import DEFAULT_SCHEMA, render, schema_name
from bulkport.migrations.errors import MigrationError, MigrationsChanged
from bulkport.migrations.files import Migration, latest, migrations

T = TypeVar("T")

Steps: TypeAlias = Generator[str, Sequence[Sequence[Any]], T]
"""Yields a script that takes no parameters; is sent the rows of its last statement."""

# Any constant will do; it must only differ from the advisory locks of other programs in the same database.
LOCK: Final = "SELECT pg_advisory_xact_lock(7092447305093509729)"

# A role that owns a schema which somebody made for it may lack the right to make one.
PREPARE: Final = """
DO $$ BEGIN
    CREATE SCHEMA bulkport;
EXCEPTION
    WHEN duplicate_schema THEN NULL;
    WHEN insufficient_privilege THEN
        IF to_regnamespace('bulkport') IS NULL THEN
            RAISE;
        END IF;
END $$;
CREATE TABLE IF NOT EXISTS bulkport.migrations (
    version    integer     PRIMARY KEY,
    name       text        NOT NULL,
    checksum   text,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
"""

_IS_PREPARED: Final = "SELECT to_regclass('bulkport.migrations') IS NOT NULL"
# As JSON, since tables made before there were checksums have no such column.
_APPLIED: Final = "SELECT version, to_jsonb(applied) ->> 'checksum' FROM bulkport.migrations AS applied"

# Somebody else's tables in the schema keep it.
FORGET: Final = """
DROP TABLE bulkport.migrations;
DO $$ BEGIN
    DROP SCHEMA IF EXISTS bulkport;
EXCEPTION WHEN dependent_objects_still_exist OR insufficient_privilege THEN
    NULL;
END $$;
"""


def current_version(schema: str = DEFAULT_SCHEMA) -> Steps[int]:
    """The version that the schema is at; 0: there is none."""
    return max((yield from _applied(schema)), default=0)


def changed(schema: str = DEFAULT_SCHEMA) -> Steps[list[Migration]]:
    """Migrations that have run there with other SQL than this version has."""
    applied = yield from _applied(schema)
    return [one for one in migrations() if one.version in applied and applied[one.version] != one.checksum]


def _applied(schema: str) -> Steps[dict[int, str | None]]:
    """Checksums of the migrations that have run there, by version."""
    ((is_prepared,),) = yield render(_IS_PREPARED, schema_name(schema))
    if not is_prepared:
        return {}
    rows = yield render(_APPLIED, schema)
    return {int(version): checksum for version, checksum in rows}


def upgrade(to: int | None = None, schema: str = DEFAULT_SCHEMA) -> Steps[int]:
    """Go up to version `to`, or to the newest; the version that the schema is then at.

    Raises
    ------
    MigrationError
        There is no such version.
    MigrationsChanged
        Another state of these migrations has run there.
    """
    target = known(latest() if to is None else to)
    yield LOCK
    if differing := (yield from changed(schema)):
        raise MigrationsChanged(schema, [(one.version, one.name) for one in differing])
    version = yield from current_version(schema)
    if version >= target:
        return version
    if version == 0:
        yield render(PREPARE, schema)
    for migration in migrations():
        if version < migration.version <= target:
            yield render(up(migration), schema)
    return target


def downgrade(to: int = 0, schema: str = DEFAULT_SCHEMA) -> Steps[int]:
    """Downgrade to version `to`, dropping tables with their data; returns the resulting version.

    Raises
    ------
    MigrationError
        There is no such version, or a newer Bulkport made the schema.
    """
    target = known(to)
    yield LOCK
    version = yield from current_version(schema)
    if version > latest():
        raise MigrationError(
            f"The schema {schema} is at version {version}, which this version of Bulkport does not know (it knows "
            f"up to {latest()}): downgrade with the version that made it."
        )
    if version <= target:
        return version
    for migration in reversed(migrations()):
        if target < migration.version <= version:
            yield render(down(migration), schema)
    if target == 0:
        yield render(FORGET, schema)
    return target


def up(migration: Migration) -> str:
    """The script of one migration, which also records it."""
    record = (
        "INSERT INTO bulkport.migrations (version, name, checksum) "
        f"VALUES ({migration.version}, '{migration.name}', '{migration.checksum}');"
    )
    return f"{migration.up.rstrip()}\n{record}\n"


def down(migration: Migration) -> str:
    """The script that takes one migration back."""
    return f"{migration.down.rstrip()}\nDELETE FROM bulkport.migrations WHERE version = {migration.version};\n"


def known(version: int) -> int:
    """A version of the schema; raises MigrationError for an unknown one."""
    if not 0 <= version <= latest():
        raise MigrationError(f"There is no version {version} of the schema: versions go from 0 to {latest()}.")
    return version
