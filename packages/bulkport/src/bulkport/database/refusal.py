"""Connections that a server refuses for a reason that waiting does not mend, such as a wrong password."""

import re
from typing import Final

import psycopg

from bulkport.database.passwords import mask_passwords
from bulkport.errors import BulkportError

# libpq gives no SQLSTATE of a connection that it did not get, only the text. In another language than English a refusal
# is taken for a server that is away, and its text is logged.
_REFUSALS: Final = re.compile(
    r"authentication failed"
    r"|no password supplied"
    r"|(role|user|database) \"[^\"]*\" does not exist"
    r"|no such (user|database)"  # of PgBouncer
    r"|no pg_hba\.conf entry"
    r"|is not permitted to log in"
    r"|permission denied for database"
    r"|does not support SSL, but SSL was required"
    r"|root certificate file"
)
_SPACE: Final = re.compile(r"\s+")


class DatabaseRefused(BulkportError):
    """The database refuses the connection, and will again: the URL's user, password, database or `sslmode` is wrong."""


def refusal_in(error: psycopg.OperationalError) -> DatabaseRefused | None:
    """What a failed attempt to connect says about the URL; None: the server may only be away."""
    text = mask_passwords(_SPACE.sub(" ", str(error)).strip())
    if _REFUSALS.search(text) is None:
        return None
    return DatabaseRefused(f"The database refuses the connection; check the URL, the role and its privileges: {text}")
