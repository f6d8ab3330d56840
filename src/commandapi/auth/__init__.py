"""API keys: who calls.

A key is a GUID, by which it is found, followed by a secret, of which only the SHA-256 is stored. Routes depend on
`current_user`; registrations and the command line make keys with `issue_key` and `create_key`.
"""

from commandapi.auth.current_user import current_user
from commandapi.auth.keys import (
    ApiKeyRecord,
    IssuedKey,
    TooManyApiKeys,
    create_key,
    find_key,
    issue_key,
    list_keys,
    revoke_key,
    verify_key,
)

__all__ = [
    "ApiKeyRecord",
    "IssuedKey",
    "TooManyApiKeys",
    "create_key",
    "current_user",
    "find_key",
    "issue_key",
    "list_keys",
    "revoke_key",
    "verify_key",
]
