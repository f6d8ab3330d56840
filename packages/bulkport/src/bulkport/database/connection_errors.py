"""Recognises connection errors that waiting does not resolve, such as a wrong password."""

import re
from typing import Final

import psycopg

from bulkport.database.passwords import mask_passwords
from bulkport.errors import BulkportError

# libpq reports no SQLSTATE for a failed connection, only text. In a language other than English, a permanent failure is
# taken for an unavailable server and its text is logged.
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


def permanent_failure_in(error: psycopg.OperationalError) -> DatabaseRefused | None:
    """The permanent failure that a failed attempt to connect reports; None if the server may just be unavailable."""
    text = mask_passwords(_SPACE.sub(" ", str(error)).strip())
    if _REFUSALS.search(text) is None:
        return None
    return DatabaseRefused(f"The database refuses the connection; check the URL, the role and its privileges: {text}")
