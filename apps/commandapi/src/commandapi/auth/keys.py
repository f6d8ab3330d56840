"""Creates, verifies, lists and revokes API keys.

Every function works on a connection the caller owns. On an autocommit connection each is a transaction of its own;
inside a caller's transaction it is part of that.
"""

import contextlib
import hmac
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import psycopg
from psycopg.rows import class_row, tuple_row

from bulkport.errors import BadRequest, Conflict
from bulkport.identifiers import UserId
from bulkport.sanitize import is_storable_text
from commandapi.auth import key_format, queries

Connection = psycopg.AsyncConnection[Any]

MAX_USER_ID_CHARACTERS: Final = 255
"""OpenID Connect Core 1.0 §2 allows a `sub` no more."""

_SUBJECTS: Final = "oidc|"
"""What the ids of users begin with who are known by a token: whatever its `sub` is, it is no name an operator gave."""
_LONGEST_USER_ID: Final = MAX_USER_ID_CHARACTERS + len(_SUBJECTS)

_NO_KEY: Final = (0, None, bytes(32), (), False, False)


class Scope(StrEnum):
    """What a key may do."""

    READ = "read"
    """Read data and follow the user's own imports."""
    WRITE = "write"
    """Add and change single records."""
    IMPORT = "import"
    """Import in bulk, cancel the user's own imports, and manage their webhooks."""
    ADMIN = "admin"
    """Remove records."""


ALL_SCOPES: Final = tuple(Scope)
REGISTERED_SCOPES: Final = (Scope.READ, Scope.WRITE, Scope.IMPORT)
"""Those that a user may give to a key; an operator may give all."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request, and what their key may do."""

    key_id: int
    user_id: UserId
    scopes: frozenset[str]


class TooManyApiKeys(Conflict):
    """You have reached the limit of active API keys; revoke one first."""

    title = "Too many API keys"


@dataclass(frozen=True, slots=True)
class ApiKeyRecord:
    """What is kept of a key; nothing in it opens anything."""

    id: int
    key_index: uuid.UUID
    """The key's first 36 characters."""
    description: str | None
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    """From when on it is refused; None: never."""
    last_used_at: datetime | None
    """Time of the last request with the key, to the minute."""
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A key just made: the only time that its text exists outside its owner's hands."""

    text: str
    record: ApiKeyRecord

    def __repr__(self) -> str:
        return f"IssuedKey(text=<secret>, record={self.record!r})"


def subject_user(subject: str) -> UserId:
    """The user id of a token's `sub`, in a separate namespace from users named by an operator."""
    return UserId(_SUBJECTS + subject)


async def create_key(connection: Connection, user_id: str, description: str | None = None) -> str:
    """Make a key for `user_id` and return its text, 79 characters; see `issue_key`."""
    return (await issue_key(connection, user_id, description)).text


async def issue_key(
    connection: Connection,
    user_id: str,
    description: str | None = None,
    *,
    live_limit: int | None = None,
    scopes: Sequence[str] = ALL_SCOPES,
    seconds: float | None = None,
) -> IssuedKey:
    """Make a key.

    Parameters
    ----------
    user_id:
        The tenant whose requests the key will authenticate, such as a token's `sub`.
    description:
        A note for the owner, to tell keys apart.
    live_limit:
        Most keys the user may have that are live, this one included; None: any number.
    scopes:
        What the key may do.
    seconds:
        How long it lives; None: until it is revoked.

    Raises
    ------
    BadRequest
        If `user_id` is blank, longer than 255 characters or cannot be stored, or `description` cannot be stored.
    TooManyApiKeys
        If the user has `live_limit` keys already.
    """
    if not is_user_id(user_id):
        raise BadRequest(f"A user id is 1 to {MAX_USER_ID_CHARACTERS} characters of text, and not blank.")
    if description is not None and not is_storable_text(description):
        raise BadRequest("The description holds characters that cannot be stored.")
    key = key_format.generate()
    async with connection.transaction():
        if live_limit is not None:
            await connection.execute(queries.LOCK_USER, (user_id,))
            async with connection.cursor(row_factory=tuple_row) as cursor:
                await cursor.execute(queries.COUNT_LIVE_KEYS, (user_id,))
                row = await cursor.fetchone()
            if row is not None and row[0] >= live_limit:
                raise TooManyApiKeys
        async with connection.cursor(row_factory=class_row(ApiKeyRecord)) as inserting:
            await inserting.execute(
                queries.INSERT_KEY, (key.index, key.secret_hash, user_id, description, [*map(str, scopes)], seconds)
            )
            record = await inserting.fetchone()
    assert record is not None
    return IssuedKey(text=key.text, record=record)


async def rotate_key(
    connection: Connection, user_id: str, key_id: int, *, overlap_seconds: float, live_limit: int | None = None
) -> IssuedKey | None:
    """Replace a key, which keeps working for `overlap_seconds`; None if there is no such live key."""
    async with connection.transaction():
        async with connection.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(queries.EXPIRE_KEY, (overlap_seconds, key_id, user_id))
            row = await cursor.fetchone()
        if row is None:
            return None
        # Both live for a while: one more than the limit is not too many.
        limit = None if live_limit is None else live_limit + 1
        return await issue_key(connection, user_id, row[0], live_limit=limit, scopes=row[1])


async def verify_key(connection: Connection, text: str, *, address: str | None = None) -> Caller | None:
    """Whose live key `text` is, and what it may do; or None.

    One query by the key's index answers it. What cannot be a key is refused without asking the database; a well-formed
    key costs the same whether its index is unknown, its secret wrong, or it is revoked. The first use in a minute is
    also written down, in a statement of its own, and the first use from an address that is new goes into the audit.
    """
    key = key_format.parse(text)
    if key is None:
        return None
    async with connection.cursor(row_factory=tuple_row) as cursor:
        values = {"key_index": key.index, "address": address}
        await cursor.execute(queries.SELECT_FOR_VERIFICATION, values, prepare=True)
        row = await cursor.fetchone()
        key_id, user_id, stored_hash, scopes, is_live, is_use_due = row or _NO_KEY
        is_secret_right = hmac.compare_digest(key.secret_hash, bytes(stored_hash))
        if user_id is None or not is_secret_right or not is_live:
            return None
        if is_use_due:
            # A temporarily read-only database still identifies callers.
            with contextlib.suppress(psycopg.errors.ReadOnlySqlTransaction):
                await cursor.execute(queries.NOTE_USE, values)
    return Caller(key_id, UserId(user_id), frozenset(scopes))


async def list_keys(
    connection: Connection, user_id: str, *, limit: int, before: int | None = None
) -> list[ApiKeyRecord]:
    """At most `limit` keys of `user_id`, revoked ones included, newest first, from those with an id below `before`."""
    async with connection.cursor(row_factory=class_row(ApiKeyRecord)) as cursor:
        await cursor.execute(queries.SELECT_KEYS, {"user_id": user_id, "limit": limit, "before": before})
        return await cursor.fetchall()


async def find_key(connection: Connection, user_id: str, key_id: int) -> ApiKeyRecord | None:
    """The key with the id `key_id`; None when there is none or it is another user's."""
    async with connection.cursor(row_factory=class_row(ApiKeyRecord)) as cursor:
        await cursor.execute(queries.SELECT_KEY, (key_id, user_id))
        return await cursor.fetchone()


async def revoke_key(connection: Connection, user_id: str, key_id: int) -> bool:
    """Revoke a key of `user_id`: it is refused from the next request on.

    Revoking a revoked key changes nothing. False when there is no such key or it is another user's.
    """
    cursor = await connection.execute(queries.REVOKE_KEY, (key_id, user_id))
    return await cursor.fetchone() is not None


def is_user_id(text: str) -> bool:
    """Whether `text` can be a user id: not blank, at most 255 characters, and storable as text."""
    most = _LONGEST_USER_ID if text.startswith(_SUBJECTS) else MAX_USER_ID_CHARACTERS
    return bool(text.strip()) and len(text) <= most and is_storable_text(text)
