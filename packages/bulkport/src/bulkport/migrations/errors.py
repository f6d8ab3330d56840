"""What can be wrong with the schema of a database."""

from bulkport.errors import BulkportError


class MigrationError(BulkportError):
    """The schema cannot be migrated."""


class MigrationsMissing(BulkportError):
    """The database does not have the tables that this version of Bulkport needs."""


class UnsupportedEncoding(BulkportError):
    """The database's encoding is not UTF8."""

    def __init__(self, encoding: str) -> None:
        super().__init__(
            f"The database's encoding is {encoding}; Bulkport stores any text and needs UTF8. "
            "Create the database with: CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0. "
            "To accept that some characters cannot be stored, name the encoding in the URL: ?client_encoding=utf8"
        )
