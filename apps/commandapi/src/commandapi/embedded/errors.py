"""What can go wrong with the embedded database."""

from bulkport.errors import BulkportError


class EmbeddedDatabaseError(BulkportError):
    """The embedded database cannot be started."""

    status = 503
    title = "Embedded database unavailable"


class UnsupportedPlatform(EmbeddedDatabaseError):
    """There is no embedded PostgreSQL for this platform."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"There is no embedded PostgreSQL for this platform ({reason}). Set COMMANDAPI_DATABASE_URL to a "
            "PostgreSQL 15 or newer, such as postgresql://user:password@host/database."
        )
