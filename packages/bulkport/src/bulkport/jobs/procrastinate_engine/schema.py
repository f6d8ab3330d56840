"""The engine's part of the database schema, for a migration to apply and to take back."""

from importlib import resources

from procrastinate.schema import SchemaManager


def schema_sql() -> str:
    """SQL that makes Procrastinate's tables and functions and Bulkport's beside them.

    Several statements; run it without parameters, in one transaction.
    """
    functions = sorted(
        (file for file in resources.files(__package__).joinpath("functions").iterdir() if file.name.endswith(".sql")),
        key=lambda file: file.name,
    )
    scripts = [
        SchemaManager.get_schema(),
        _read("tables.sql"),
        *(file.read_text(encoding="utf-8") for file in functions),
    ]
    # Functions may be made in any order: what one written in SQL calls is looked up when it is called.
    return "\n".join(("SET LOCAL check_function_bodies = off;", *scripts, "RESET check_function_bodies;", ""))


def drop_schema_sql() -> str:
    """SQL that removes what `schema_sql` makes, with every job in it."""
    return _read("drop_schema.sql")


def _read(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
