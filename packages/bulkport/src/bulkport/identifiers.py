"""Distinct types for ids that must not be mistaken for one another."""

from typing import Final, NewType, TypeAlias
from uuid import UUID

ImportId = NewType("ImportId", int)
"""Primary key of an import job (`bulk_import_jobs.id`), a positive 64-bit integer."""

BackgroundJobId = NewType("BackgroundJobId", str)
"""Id of a background job as its engine names it; at most 100 characters."""

UserId = NewType("UserId", str)
"""The tenant: the `sub` claim of the token the API key was registered with."""

AnyUserId: TypeAlias = str | UUID | int
"""The id of a user as applications have it."""


def with_text_id(value: AnyUserId | None) -> str | None:
    """A UUID or an integer as text; anything else as it is, for the caller to check."""
    if isinstance(value, UUID | int) and not isinstance(value, bool):
        return str(value)
    return value  # type: ignore[return-value] # checked by the caller


def user_id_text(value: AnyUserId) -> UserId:
    """The stored form of a user id.

    Raises
    ------
    ValueError
        It is empty.
    TypeError
        It is neither text, a UUID nor an integer.
    """
    if isinstance(value, bool) or not isinstance(value, str | UUID | int):
        raise TypeError(f"the id of a user is text, a UUID or an integer, not {type(value).__name__}")
    if value == "":
        raise ValueError("the id of a user is not empty")
    return UserId(str(value))


MAX_BIGINT: Final = 2**63 - 1
"""Largest value of PostgreSQL's `bigint`."""
