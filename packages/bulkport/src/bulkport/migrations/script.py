"""The migrations as scripts, for those who read SQL before they run it."""

from bulkport.database import DEFAULT_SCHEMA, render, schema_name
from bulkport.migrations.files import latest, migrations
from bulkport.migrations.steps import FORGET, PREPARE, down, up


def upgrade_sql(to: int | None = None, *, start: int = 0, schema: str = DEFAULT_SCHEMA) -> str:
    """The script that takes the schema from version `start` up to `to`, or to the newest. Run it in one transaction."""
    target = latest() if to is None else to
    steps = [up(migration) for migration in migrations() if start < migration.version <= target]
    return render("\n".join(([PREPARE.lstrip()] if start == 0 else []) + steps), schema_name(schema))


def downgrade_sql(to: int = 0, *, start: int | None = None, schema: str = DEFAULT_SCHEMA) -> str:
    """The script that takes the schema from version `start`, or the newest, down to `to`, with all data in it."""
    top = latest() if start is None else start
    steps = [down(migration) for migration in reversed(migrations()) if to < migration.version <= top]
    return render("\n".join(steps + ([FORGET.lstrip()] if to == 0 else [])), schema_name(schema))
