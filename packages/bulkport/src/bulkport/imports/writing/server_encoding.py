"""Text for a database whose encoding is not UTF-8: escapes characters that it lacks."""

import codecs
import re
from typing import Any, Final

from psycopg import AsyncConnection

_NON_ASCII: Final = re.compile(r"[^\x00-\x7f]")


def server_codec(connection: AsyncConnection[Any]) -> str | None:
    """Python's codec of the database encoding; None if it stores every character."""
    name = connection.info.parameter_status("server_encoding") or "UTF8"
    if name in ("UTF8", "SQL_ASCII"):
        return None
    try:
        return codecs.lookup(re.sub(r"^WIN(\d+)$", r"cp\1", name).replace("_", "-")).name
    except LookupError:
        return "ascii"


def storable(text: str, codec: str | None) -> str:
    """The text with a question mark for each sign that the database lacks."""
    return text if codec is None else text.encode(codec, "replace").decode(codec)


def storable_json(text: str, codec: str | None) -> str:
    """JSON with escapes for characters that cannot be stored (RFC 8259 §7). The type json keeps escapes."""
    return text if codec is None else _NON_ASCII.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
