"""The engine's part of the database schema, for a migration to apply and to take back."""

from importlib import resources


def schema_sql() -> str:
    """SQL that makes the engine's tables, and the functions that its statements call.

    Several statements; run it without parameters, in one transaction.
    """
    tables = resources.files("bulkport.migrations").joinpath("0001_jobs.sql").read_text(encoding="utf-8")
    functions = sorted(
        (file for file in resources.files(__package__).joinpath("sql").iterdir() if file.name.endswith(".sql")),
        key=lambda file: file.name,
    )
    scripts = [tables, *(file.read_text(encoding="utf-8") for file in functions)]
    # Functions may be made in any order: what one written in SQL calls is looked up when it is called.
    return "\n".join(("SET LOCAL check_function_bodies = off;", *scripts, "RESET check_function_bodies;", ""))


def drop_schema_sql() -> str:
    """SQL that removes what `schema_sql` makes, with every job in it."""
    return resources.files("bulkport.migrations").joinpath("0001_jobs.down.sql").read_text(encoding="utf-8")
