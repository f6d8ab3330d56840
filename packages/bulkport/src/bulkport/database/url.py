"""Database URLs as applications have them: PostgreSQL's own, or SQLAlchemy's with the name of a driver.

No message of an error here quotes a URL: it holds a password.
"""

import re
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import PostgresDsn, SecretStr
from pydantic_core import MultiHostUrl

from bulkport.errors import BulkportError

_SCHEMES: Final = frozenset({"postgresql", "postgres"})
_OF_SQLALCHEMY: Final = frozenset(
    {
        "prepared_statement_cache_size",
        "prepared_statement_name_func",
        "statement_cache_size",
        "command_timeout",
        "async_fallback",
    }
)
"""Query parameters of SQLAlchemy's dialects and of asyncpg that PostgreSQL does not know."""
_PORTS: Final = re.compile(r"[0-9,]*")
_REST_OF_A_PASSWORD: Final = re.compile(r"[^,]@")  # a host that begins with @ is an abstract socket
_MALFORMED: Final = (
    "The database URL is malformed. It looks like postgresql://user:password@host:5432/database; characters such as "
    "@, : and / in a password are percent-encoded (urllib.parse.quote)."
)


class UnusableDatabaseUrl(BulkportError, ValueError):
    """The database URL cannot be used."""


def database_url(given: Any) -> str:
    """The URL, or libpq's `key=value` text, that psycopg connects to.

    Parameters
    ----------
    given
        Text, SQLAlchemy's `URL`, or Pydantic's `PostgresDsn` or `SecretStr`. `postgresql+asyncpg://`,
        `postgresql+psycopg://` and the like lose the driver; asyncpg's `ssl=` becomes `sslmode=`.

    Raises
    ------
    UnusableDatabaseUrl
        It is empty, of another database, or malformed.
    """
    if hasattr(given, "render_as_string"):
        given = given.render_as_string(hide_password=False)
    elif isinstance(given, SecretStr):
        given = given.get_secret_value()
    elif isinstance(given, PostgresDsn | MultiHostUrl):
        given = str(given)
    if given is None or given == "":
        raise UnusableDatabaseUrl(
            "The database URL is missing. Bulkport(DATABASE_URL) takes one such as "
            "postgresql://user:password@host:5432/database; is its environment variable set?"
        )
    if not isinstance(given, str):
        hint = "; its URL is engine.url" if hasattr(given, "dialect") else ""
        raise UnusableDatabaseUrl(f"A database URL is text, not {type(given).__name__}{hint}.")
    text = _without_driver(given) if "://" in given else given
    try:
        parts = conninfo_to_dict(text)
    except ProgrammingError:
        # psycopg's message quotes parts of the URL.
        raise UnusableDatabaseUrl(_MALFORMED) from None
    # libpq takes the rest of a password with an @ for the host, and its messages quote that.
    if _REST_OF_A_PASSWORD.search(str(parts.get("host", ""))) or not _PORTS.fullmatch(str(parts.get("port", ""))):
        raise UnusableDatabaseUrl(_MALFORMED)
    return text


def _without_driver(url: str) -> str:
    scheme, _, rest = url.partition("://")
    dialect, _, _driver = scheme.lower().partition("+")
    if dialect not in _SCHEMES:
        shown = dialect if dialect.isalnum() else "something else"
        raise UnusableDatabaseUrl(f"The database URL is of {shown}; Bulkport works on PostgreSQL: postgresql://…")
    try:
        split = urlsplit(f"postgresql://{rest}")
    except ValueError:
        return f"postgresql://{rest}"  # psycopg refuses it
    if not split.query:
        return f"postgresql://{rest}"
    query = []
    for name, value in parse_qsl(split.query, keep_blank_values=True):
        if name == "ssl":
            query.append(("sslmode", {"true": "require", "false": "disable"}.get(value.lower(), value)))
        elif name not in _OF_SQLALCHEMY:
            query.append((name, value))
    # Not + for a space: libpq does not know it.
    encoded = urlencode(query, safe="/").replace("+", "%20")
    return f"postgresql://{split.netloc}{split.path}" + (f"?{encoded}" if encoded else "")
