"""The tables of Bulkport, as SQL that any migration tool can run.

`upgrade_sql` creates the import tables and the background engine's schema; `downgrade_sql` removes both. An
application calls them from a migration of its own, so that its tables and Bulkport's move together.
"""

from importlib.resources import files

from bulkport.jobs.engine_schema import drop_engine_schema_sql, engine_schema_sql


def upgrade_sql() -> str:
    """SQL script that creates everything Bulkport needs in an empty schema."""
    return f"{engine_schema_sql()}\n{_read('imports.sql')}"


def downgrade_sql() -> str:
    """SQL script that removes everything `upgrade_sql` created, with all data."""
    return f"{_read('drop_imports.sql')}\n{drop_engine_schema_sql()}"


def _read(name: str) -> str:
    return files(__name__).joinpath(name).read_text(encoding="utf-8")
