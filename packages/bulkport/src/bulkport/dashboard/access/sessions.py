"""Sessions of the dashboard, stored in the database so that they can be listed and ended.

A cookie says 32 random bytes. The database has their HMAC alone, so who reads the table is not signed in by it.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from psycopg.rows import class_row, tuple_row
from starlette.requests import Request

from bulkport.dashboard.core.viewer import Role, Viewer
from bulkport.database.tolerant import fetch_tolerantly
from bulkport.pools import AsyncPool
from bulkport.sanitize import storable_text

Way = Literal["link", "openid", "keys"]
"""How somebody signed in; `keys`: with OpenID Connect, to a page of an application's own users alone."""

_MAX_BROWSER_CHARACTERS: Final = 200

_BEGIN: Final = """\
WITH ended AS (DELETE FROM bulkport.dashboard_sessions WHERE expires_at < clock_timestamp())
INSERT INTO bulkport.dashboard_sessions (token_digest, way, viewer, role, expires_at, address, browser)
VALUES (%b, %s, %s, %s, clock_timestamp() + make_interval(secs => %s), %s, %s)"""

_FIND: Final = """\
SELECT id, viewer, role, seen_at < clock_timestamp() - interval '1 minute'
FROM bulkport.dashboard_sessions
WHERE token_digest = %b AND way = %s AND expires_at > clock_timestamp()"""

_NOTE_SEEN: Final = "UPDATE bulkport.dashboard_sessions SET seen_at = clock_timestamp() WHERE id = %s"

_LIST: Final = """\
SELECT id, way, viewer, role, begun_at, seen_at, expires_at, address, browser
FROM bulkport.dashboard_sessions
WHERE expires_at > clock_timestamp()
ORDER BY seen_at DESC, id DESC
LIMIT %s"""

_END: Final = "DELETE FROM bulkport.dashboard_sessions WHERE id = ANY (%s)"

_OFFER: Final = """\
WITH ended AS (DELETE FROM bulkport.dashboard_links WHERE expires_at < clock_timestamp())
INSERT INTO bulkport.dashboard_links (token_digest, expires_at)
VALUES (%b, clock_timestamp() + make_interval(secs => %s))"""

_REDEEM: Final = """\
DELETE FROM bulkport.dashboard_links WHERE token_digest = %b RETURNING expires_at > clock_timestamp()"""


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that is signed in."""

    id: int
    way: Way
    viewer: str
    role: str
    begun_at: datetime
    seen_at: datetime
    """To the minute."""
    expires_at: datetime
    address: str | None
    browser: str | None


class Sessions:
    """The sessions, and the links that begin one.

    Parameters
    ----------
    pool:
        Gives the pool of autocommit connections once the application is connected.
    secret:
        A new one ends all sessions.
    """

    def __init__(self, pool: Callable[[], AsyncPool], *, secret: str = "") -> None:
        self._pool = pool
        self._secret = b"bulkport dashboard session" + secret.encode()

    async def begin(self, request: Request, way: Way, viewer: str, role: Role, *, seconds: float) -> str:
        """Begin a session and return the value of its cookie."""
        token = secrets.token_urlsafe(32)
        browser = storable_text(request.headers.get("user-agent", ""))[:_MAX_BROWSER_CHARACTERS]
        address = request.client.host if request.client else None
        values = (self._digest(token), way, storable_text(viewer), role, seconds, address, browser)
        async with self._pool().connection() as connection:
            await connection.execute(_BEGIN, values)
        return token

    async def find(self, token: str | None, way: Way) -> Viewer | None:
        """The session of a cookie, or None."""
        if not token:
            return None
        async with self._pool().connection() as connection, connection.cursor(row_factory=tuple_row) as cursor:
            row = await (await cursor.execute(_FIND, (self._digest(token), way))).fetchone()
            if row is None:
                return None
            id_, viewer, role, is_note_due = row
            if is_note_due:
                await cursor.execute(_NOTE_SEEN, (id_,))
        return Viewer(viewer, Role(role), str(id_), can_sign_out=True)

    async def end(self, ids: Sequence[int]) -> int:
        """End sessions; how many there were."""
        async with self._pool().connection() as connection:
            return (await connection.execute(_END, (list(ids),))).rowcount

    async def live(self, *, limit: int = 200) -> list[Session]:
        """Those that go on, the last seen first."""
        async with self._pool().connection() as connection:
            return await fetch_tolerantly(
                lambda: connection.cursor(row_factory=class_row(Session)),
                lambda cursor: cursor.execute(_LIST, (limit,)),
            )

    async def offer_link(self, *, seconds: float) -> str:
        """A token that signs one browser in, once."""
        token = secrets.token_urlsafe(32)
        async with self._pool().connection() as connection:
            await connection.execute(_OFFER, (self._digest(token), seconds))
        return token

    async def redeem_link(self, token: str) -> bool:
        """Use the token; whether it was unused."""
        async with self._pool().connection() as connection, connection.cursor(row_factory=tuple_row) as cursor:
            row = await (await cursor.execute(_REDEEM, (self._digest(token),))).fetchone()
        return bool(row and row[0])

    def _digest(self, token: str) -> bytes:
        return hmac.digest(self._secret, token.encode("utf-8", "replace"), hashlib.sha256)
