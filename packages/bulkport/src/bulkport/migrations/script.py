"""The migrations as scripts, for those who read SQL before they run it."""

from bulkport.database import DEFAULT_SCHEMA, render, schema_name
from bulkport.migrations.errors import MigrationError
from bulkport.migrations.files import Migration, latest, migrations
from bulkport.migrations.steps import FORGET, LOCK, PREPARE, down, known, up


def upgrade_sql(to: int | None = None, *, start: int = 0, schema: str = DEFAULT_SCHEMA) -> str:
    """The script that takes the schema from version `start` up to `to`, or to the newest. Run it in one transaction.

    Raises
    ------
    MigrationError
        There is no such version, or `to` is below `start`.
    """
    target, start = known(latest() if to is None else to), known(start)
    _require_way(start, target, is_up=True)
    steps = [up(migration) for migration in migrations() if start < migration.version <= target]
    return render("\n".join(([PREPARE.lstrip()] if start == 0 else []) + steps), schema_name(schema))


def downgrade_sql(to: int = 0, *, start: int | None = None, schema: str = DEFAULT_SCHEMA) -> str:
    """The script that takes the schema from version `start`, or the newest, down to `to`, with all data in it.

    Raises
    ------
    MigrationError
        There is no such version, or `to` is above `start`.
    """
    top, to = known(latest() if start is None else start), known(to)
    _require_way(to, top, is_up=False)
    steps = [down(migration) for migration in reversed(migrations()) if to < migration.version <= top]
    return render("\n".join(steps + ([FORGET.lstrip()] if to == 0 else [])), schema_name(schema))


def upgrade_sql_anywhere(to: int | None = None, *, schema: str = DEFAULT_SCHEMA) -> str:
    """As `upgrade_sql`, for a schema at whatever version it is: migrations that have run there are passed over."""
    target = known(latest() if to is None else to)
    steps = [_unless_there(one, up(one)) for one in migrations() if one.version <= target]
    return render("\n".join((f"{LOCK};", PREPARE.lstrip(), *steps)), schema_name(schema))


def downgrade_sql_anywhere(to: int = 0, *, schema: str = DEFAULT_SCHEMA) -> str:
    """As `downgrade_sql`, for a schema at whatever version it is."""
    target = known(to)
    steps = [_unless_there(one, down(one), not_="") for one in reversed(migrations()) if target < one.version]
    return render("\n".join((f"{LOCK};", *steps, *([FORGET.lstrip()] if to == 0 else []))), schema_name(schema))


def _unless_there(migration: Migration, script: str, not_: str = "NOT ") -> str:
    tag = f"$bulkport_{migration.version}$"
    is_there = f"{not_}EXISTS (SELECT FROM bulkport.migrations WHERE version = {migration.version})"
    return f"DO $do$ BEGIN IF {is_there} THEN EXECUTE {tag}\n{script}{tag}; END IF; END $do$;\n"


def _require_way(low: int, high: int, *, is_up: bool) -> None:
    if low > high:
        first, last = (low, high) if is_up else (high, low)
        raise MigrationError(f"No script goes {'up' if is_up else 'down'} from version {first} to version {last}.")
