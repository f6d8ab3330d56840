r"""The grammar of a CSV record as regular expressions: one definition for the splitter (bytes) and the parser (str).

The state machine behind them: at the start of a field a quote opens a quoted field; inside, two quotes are one, and
any other quote closes it. Everything else, also after a closing quote, is unquoted and runs to the next delimiter or
`\n`. Possessive quantifiers keep every match linear, however hostile the text.
"""

import re
from functools import lru_cache

_QUOTED = r'"[^"]*+(?:""[^"]*+)*+"'


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


def _proper_quotes(delimiter: str) -> str:
    d = re.escape(delimiter)
    # The quote comes first, then the look behind it: a literal prefix is searched for at memory speed.
    return rf'"(?:(?<=[{d}\n]")|(?<=\A"))[^"]*+(?:""[^"]*+)*+"(?=[{d}\n]|\r\n|\r?\Z)'


@lru_cache
def quoted_field_bytes(delimiter: str) -> re.Pattern[bytes]:
    """A field quoted as RFC 4180 says, with its quotes. A quote that is left when all are replaced is irregular."""
    return re.compile(_proper_quotes(delimiter).encode())


@lru_cache
def quoted_field_text(delimiter: str) -> re.Pattern[str]:
    """The same on text."""
    return re.compile(_proper_quotes(delimiter))


@lru_cache
def field_text(delimiter: str) -> re.Pattern[str]:
    """One proper field (group 1 when quoted, else group 2) and its delimiter (group 3, empty after the last field)."""
    d = re.escape(delimiter)
    return re.compile(rf'(?:"([^"]*+(?:""[^"]*+)*+)"|([^"{d}\r\n]*+))({d}|\Z)')
