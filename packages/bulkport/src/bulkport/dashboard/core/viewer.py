"""Who looks at the dashboard, and what they may do."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a viewer may do."""

    READ_ONLY = "read-only"
    """See everything."""
    OPERATOR = "operator"
    """See everything, and act."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """One who may see the dashboard."""

    name: str
    """As the audit calls them."""
    role: Role
    session: str = ""
    """What distinguishes this sign-in from the viewer's others; forms are bound to it."""
    can_sign_out: bool = False

    @property
    def is_operator(self) -> bool:
        """Whether the viewer may act."""
        return self.role is Role.OPERATOR
