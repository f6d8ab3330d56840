"""The engine's part of the database schema, for a migration to apply and to take back."""

from importlib import resources

from procrastinate.schema import SchemaManager


def schema_sql() -> str:
    """SQL that makes Procrastinate's tables and functions and Bulkport's two tables beside them.

    Several statements; run it without parameters, in one transaction.
    """
    return f"{SchemaManager.get_schema()}\n{_read('servers.sql')}"


def drop_schema_sql() -> str:
    """SQL that removes what `schema_sql` makes, with every job in it."""
    return _read("drop_schema.sql")


def _read(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
