r"""The grammar of a CSV record: one definition for the splitter (bytes) and the parser (str).

The state machine behind it: at the start of a field a quote opens a quoted field; inside, two quotes are one, and
any other quote closes it. Everything else, also after a closing quote, is unquoted and runs to the next delimiter or
`\n`. Possessive quantifiers keep every match linear, however hostile the text. Match these patterns, never search with
them: a search tries again at every byte of a record that does not match, which is quadratic.
"""

import re
from functools import lru_cache

_QUOTED = r'"[^"]*+(?:""[^"]*+)*+"'
# The bytes that surrogateescape hides in a text that is not UTF-8.
_ESCAPED = r"\udc80-\udcff"


def _record(delimiter: str) -> str:
    d = re.escape(delimiter)
    field = rf'(?:{_QUOTED}[^{d}\n]*+|[^"{d}\n][^{d}\n]*+|(?!"))'
    return rf"(?:{field}{d})*+{field}"


@lru_cache
def record_line(delimiter: str) -> re.Pattern[bytes]:
    r"""One record and its `\n`. Matches from the start of a record; no match means that the record is unfinished."""
    return re.compile(rf"{_record(delimiter)}\n".encode())


@lru_cache
def record_text(delimiter: str) -> re.Pattern[str]:
    r"""One record (group 1) and its `\n` or the end of the text."""
    return re.compile(rf"({_record(delimiter)})(?:\n|\Z)")


@lru_cache
def proper_records(delimiter: str) -> re.Pattern[str]:
    r"""As many records in a row as are written as RFC 4180 says and are UTF-8, each with its `\n`; maybe none."""
    d = re.escape(delimiter)
    field = rf'(?:"[^"{_ESCAPED}]*+(?:""[^"{_ESCAPED}]*+)*+"|[^"{d}\r\n{_ESCAPED}]*+)'
    return re.compile(rf"(?:{field}(?:{d}{field})*+\r?\n)*+")


@lru_cache
def field_text(delimiter: str) -> re.Pattern[str]:
    """One proper field (group 1 when quoted, else group 2) and its delimiter (group 3, empty after the last field)."""
    d = re.escape(delimiter)
    return re.compile(rf'(?:"([^"]*+(?:""[^"]*+)*+)"|([^"{d}\r\n]*+))({d}|\Z)')


def skeleton(parts: list[bytes], delimiter: str) -> bytes | None:
    r"""What is left of a text when each quoted field is replaced by one quote.

    In it every `\n` ends a record. Made by a few passes at memory speed, not record by record.

    Parameters
    ----------
    parts:
        The text, split at its quotes. It starts with a record, and may end within a quoted field.

    Returns
    -------
    The skeleton, or None if a quote opens or closes elsewhere than at an end of its field. Then the text has to be read
    record by record.
    """
    # Parts take turns: outside quotes, inside, outside, … A doubled quote is an empty part outside.
    bones = b'"'.join(parts[::2])
    if len(parts) % 2 == 0:
        bones += b'"'
    while b'""' in bones:
        bones = bones.replace(b'""', b'"')
    d = delimiter.encode()
    quotes = bones.count(b'"')
    opened = bones.startswith(b'"') + bones.count(d + b'"') + bones.count(b'\n"')
    if opened != quotes:
        return None
    closed = bones.endswith((b'"', b'"\r')) + bones.count(b'"' + d) + bones.count(b'"\n') + bones.count(b'"\r\n')
    return bones if closed == quotes else None
