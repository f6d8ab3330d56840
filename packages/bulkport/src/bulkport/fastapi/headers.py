"""Combines repeated lines of a request header into one value."""

from starlette.datastructures import Headers


def field_value(headers: Headers, name: str) -> str | None:
    """All lines of a header joined by commas (RFC 9110 §5.3); None when there is none.

    Reading the first line alone would take a body for something else than the next reader of the request does.
    """
    return ", ".join(headers.getlist(name)) or None


def utf8_value(headers: Headers, name: str) -> str | None:
    """The header as text in UTF-8 where its bytes are that, else in ISO 8859-1 (RFC 9110 §5.5); None without it."""
    value = field_value(headers, name)
    if value is None or value.isascii():
        return value
    try:
        return value.encode("latin-1").decode()
    except UnicodeDecodeError:
        return value
