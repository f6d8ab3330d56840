"""The tables of Bulkport, as numbered SQL files and a runner for them.

::

    from bulkport import migrations

    migrations.upgrade(connection)          # psycopg, or SQLAlchemy as in an Alembic revision: op.get_bind()
    await migrations.upgrade(connection)    # psycopg or SQLAlchemy, async
    migrations.upgrade_sql()                # the same as a script, for a database administrator

A transaction of the caller's goes on: it commits, or takes back, what was done. The schema's own table `migrations`
says which files have run, with a checksum of each: a schema that another state of them made is refused.
"""

from bulkport.migrations.autogenerate import include_object
from bulkport.migrations.checking import check, check_sync
from bulkport.migrations.errors import MigrationError, MigrationsChanged, MigrationsMissing, UnsupportedEncoding
from bulkport.migrations.files import Migration, latest, migrations
from bulkport.migrations.runner import changed, current, downgrade, pending, upgrade
from bulkport.migrations.script import downgrade_sql, upgrade_sql

__all__ = [
    "Migration",
    "MigrationError",
    "MigrationsChanged",
    "MigrationsMissing",
    "UnsupportedEncoding",
    "changed",
    "check",
    "check_sync",
    "current",
    "downgrade",
    "downgrade_sql",
    "include_object",
    "latest",
    "migrations",
    "pending",
    "upgrade",
    "upgrade_sql",
]
