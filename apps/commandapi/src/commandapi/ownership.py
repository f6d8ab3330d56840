"""Ownership of platforms and commands."""

from enum import StrEnum
from typing import Final

OWNER: Final = "owner_id"
"""Column of platforms and commands: the user whose row it is; null if it is nobody's."""


class Tenancy(StrEnum):
    """Whose platforms and commands a user sees."""

    SHARED = "shared"
    """Everybody's."""
    ISOLATED = "isolated"
    """Their own."""
