"""A completed request, for logs and metrics. Needs no web framework."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and how it was answered."""

    method: str
    path: str
    route: str | None
    """Path template of the route that answered, such as `/api/platforms/{platform_id}`; None if there is none."""
    status: int | None
    """None if the client disconnected before the response began."""
    seconds: float
    """From the request's headers to the last byte of the answer."""
