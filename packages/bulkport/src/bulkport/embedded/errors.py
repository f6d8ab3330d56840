"""Errors of the embedded database."""

from bulkport.errors import BulkportError


class EmbeddedDatabaseError(BulkportError):
    """The embedded database cannot be started."""


class UnsupportedPlatform(EmbeddedDatabaseError):
    """There is no embedded PostgreSQL for this platform."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"There is no embedded PostgreSQL for this platform ({reason}). Use a PostgreSQL 15 or newer of "
            "your own, such as postgresql://user:password@host/database."
        )
