"""JSON bodies of the registration routes."""

import uuid
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from bulkport.fastapi.schemas import UtcTime, WireModel, WireView

RegisteredScope: TypeAlias = Literal["read", "write", "import"]


def _all_scopes() -> list[RegisteredScope]:
    return ["read", "write", "import"]


class RegistrationBody(WireModel):
    """An API key to create."""

    description: Annotated[
        str | None, Field(max_length=200, description="A note that tells keys apart.", examples=["nightly import"])
    ] = None
    scopes: Annotated[
        list[RegisteredScope],
        Field(min_length=1, max_length=3, description="Scopes of the key.", examples=[["read", "import"]]),
    ] = Field(default_factory=_all_scopes)
    expires_in_days: Annotated[
        int | None,
        Field(ge=1, le=3650, description="Days until the key expires; null: never.", examples=[90]),
    ] = None


class NewRegistration(WireView):
    """A new API key. It is shown only once."""

    id: int
    """The registration's id."""
    api_key: Annotated[
        str | None,
        Field(
            description="The key, for the header `x-api-key`. It is shown only once: null if the request is a "
            "repetition with its `Idempotency-Key`."
        ),
    ]
    description: str | None
    """The user's note."""
    created_at: UtcTime
    """When it was created."""
    scopes: list[str]
    """Scopes of the key."""
    expires_at: Annotated[UtcTime | None, Field(description="When the key expires.")]


class Registration(WireView):
    """An API key, without its secret."""

    id: int
    """The registration's id."""
    key_index: Annotated[uuid.UUID, Field(description="The key's first 36 characters.")]
    description: str | None
    """The user's note."""
    created_at: UtcTime
    """When it was created."""
    scopes: list[str]
    """Scopes of the key."""
    expires_at: Annotated[UtcTime | None, Field(description="When the key expires.")]
    last_used_at: Annotated[
        UtcTime | None, Field(description="Time of the last request with the key, accurate to the minute.")
    ]
    revoked_at: Annotated[UtcTime | None, Field(description="When the key was revoked.")]


class RegistrationList(WireView):
    """A page of a user's API keys, newest first."""

    items: list[Registration]
    """The keys."""
    next_cursor: Annotated[str | None, Field(description="`cursor` of the next page; null on the last.")]
