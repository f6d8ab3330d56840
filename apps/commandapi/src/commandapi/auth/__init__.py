"""API keys: who calls.

A key is a GUID, by which it is found, followed by a secret, of which only the SHA-256 is stored. Routes depend on
`current_user`; registrations and the command line make and revoke keys with the functions of `commandapi.auth.keys`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from commandapi.auth.authentication import current_user

__all__ = ["current_user"]


def __getattr__(name: str) -> Any:
    # Imported when asked for: `commandapi keys create` needs the keys but no web framework, which takes a second.
    if name == "current_user":
        from commandapi.auth.authentication import current_user  # noqa: PLC0415

        return current_user
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
