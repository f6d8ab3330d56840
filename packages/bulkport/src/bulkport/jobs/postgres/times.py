"""Times as the database gives them: in the zone of its session, which may be any."""

from datetime import UTC, datetime


def in_utc(time: datetime) -> datetime:
    """The same moment in UTC."""
    return time.astimezone(UTC)


def utc_or_none(time: datetime | None) -> datetime | None:
    """As `in_utc`, of a time that may be missing."""
    return None if time is None else in_utc(time)
