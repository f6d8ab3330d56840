"""A viewer of the dashboard and their permissions."""

from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase


class Role(StrEnum):
    """What a viewer may do."""

    READ_ONLY = "read-only"
    """See everything."""
    OPERATOR = "operator"
    """See everything, and act."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody who may see the dashboard."""

    name: str
    """As the audit calls them."""
    role: Role
    session: str = ""
    """What distinguishes this sign-in from the viewer's others; forms are bound to it."""
    can_sign_out: bool = False
    actions: frozenset[str] | None = None
    """Names of the only actions that an operator may carry out, such as `jobs/requeue` or `queues/*`; None: all."""

    @property
    def is_operator(self) -> bool:
        """Whether the viewer may act."""
        return self.role is Role.OPERATOR

    def may(self, action: str) -> bool:
        """Whether the viewer may carry out an action."""
        return may(self.role, self.actions, action)


def may(role: Role, actions: frozenset[str] | None, action: str) -> bool:
    """Whether one of this role, confined to these actions, may carry out an action."""
    if role is not Role.OPERATOR:
        return False
    # Whoever may begin an operation on many jobs may continue it.
    return actions is None or any(fnmatchcase(action, pattern) for pattern in (*actions, "bulk-operations/*"))
