"""A request that is answered, for those who log or count it. It needs no web framework."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and how it was answered."""

    method: str
    path: str
    route: str | None
    """Path template of the route that answered, such as `/api/platforms/{platform_id}`; None where there is none."""
    status: int | None
    """None when the client went away before an answer began."""
    seconds: float
    """From the request's headers to the last byte of the answer."""
