"""What can be wrong with the schema of a database."""

from collections.abc import Sequence
from typing import Final

from bulkport.errors import BulkportError

COMMAND: Final = "bulkport migrate MODULE:ATTRIBUTE"
"""What brings a database up to date."""


class MigrationError(BulkportError):
    """The schema cannot be migrated."""


class MigrationsMissing(BulkportError):
    """The database does not have the tables that this version of Bulkport needs."""


class MigrationsChanged(BulkportError):
    """The tables were made by another state of the same migrations, such as that of a version before the release."""

    def __init__(self, schema: str, migrations: Sequence[tuple[int, str]], command: str = COMMAND) -> None:
        names = ", ".join(f"{version} ({name})" for version, name in migrations)
        super().__init__(
            f"Bulkport's schema {schema} was made by another state of the migrations {names} than this version has, "
            "so its tables may differ. Run the version that made it; or start over, which deletes all imports and "
            f"jobs: {command} --down, then {command}"
        )


class UnsupportedEncoding(BulkportError):
    """The database has no encoding (SQL_ASCII)."""

    def __init__(self, encoding: str) -> None:
        super().__init__(
            f"The database's encoding is {encoding}, which keeps bytes and does not know what they mean. "
            "Create the database with: CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0. "
            "Where all that it has is ASCII or UTF-8, say so in the URL: ?client_encoding=utf8"
        )
