"""Settings and logging of short commands that print one result."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from commandapi.settings import Settings


def quiet_settings() -> "Settings":
    """The settings, with logs set up for warnings and errors only."""
    from commandapi.logs import configure_logging  # noqa: PLC0415  # slow to import
    from commandapi.settings import Settings  # noqa: PLC0415

    settings = Settings()
    configure_logging(settings.model_copy(update={"log_level": "WARNING"}))
    return settings
