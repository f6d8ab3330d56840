r"""The grammar of a CSV record: one definition for the splitter (bytes) and the parser (str).

The state machine behind it: at the start of a field a quote opens a quoted field; inside, two quotes are one, and
any other quote closes it. Everything else, also after a closing quote, is unquoted and runs to the next delimiter or
`\n`. Where there is an escape character, it takes the meaning from the one after it, everywhere.
Possessive quantifiers keep every match linear, however hostile the text. Match these patterns, never search with
them: a search tries again at every byte of a record that does not match, which is quadratic.
"""

import re
from functools import lru_cache

from bulkport.imports.formats.csv.dialect import CsvSyntax

# The bytes that surrogateescape hides in a text that is not UTF-8.
_ESCAPED = r"\udc80-\udcff"
_FIELDS_AT_ONCE = 10_000
"""Fields of a record that one match looks at, which holds the interpreter: half a millisecond of them."""


def _quoted(syntax: CsvSyntax) -> str:
    q = re.escape(syntax.quote)
    if syntax.escape is None:
        return rf"{q}[^{q}]*+(?:{q}{q}[^{q}]*+)*+{q}"
    e = re.escape(syntax.escape)
    return rf"{q}[^{q}{e}]*+(?:(?:{q}{q}|{e}[\s\S])[^{q}{e}]*+)*+{q}"


def _field(syntax: CsvSyntax) -> str:
    d = re.escape(syntax.delimiter)
    if syntax.escape is None:
        first, rest = rf"[^{re.escape(syntax.quote)}{d}\n]", rf"[^{d}\n]*+"
    else:
        e = re.escape(syntax.escape)
        first, rest = rf"(?:[^{re.escape(syntax.quote)}{d}\n{e}]|{e}[\s\S])", rf"(?:[^{d}\n{e}]|{e}[\s\S])*+"
    if not syntax.quote:
        return rest
    return rf"(?:{_quoted(syntax)}{rest}|{first}{rest}|(?!{re.escape(syntax.quote)}))"


@lru_cache
def record_line(syntax: CsvSyntax) -> re.Pattern[bytes]:
    r"""One record and its `\n`, from the start of a record or of one of its fields.

    No match means that the record is unfinished, or has more fields than one match may look at (`record_fields`).
    """
    field, d = _field(syntax), re.escape(syntax.delimiter)
    return re.compile(rf"(?:{field}{d}){{0,{_FIELDS_AT_ONCE}}}+{field}\n".encode())


@lru_cache
def record_fields(syntax: CsvSyntax) -> re.Pattern[bytes]:
    """As many fields in a row, each with its delimiter, as one match may look at; one at least."""
    return re.compile(rf"(?:{_field(syntax)}{re.escape(syntax.delimiter)}){{1,{_FIELDS_AT_ONCE}}}+".encode())


@lru_cache
def record_text(syntax: CsvSyntax) -> re.Pattern[str]:
    r"""One record (group 1) and its `\n` or the end of the text."""
    field = _field(syntax)
    return re.compile(rf"((?:{field}{re.escape(syntax.delimiter)})*+{field})(?:\n|\Z)")


@lru_cache
def proper_records(delimiter: str) -> re.Pattern[str]:
    r"""As many records in a row as are written as RFC 4180 says and are UTF-8, each with its `\n`; maybe none."""
    d = re.escape(delimiter)
    field = rf'(?:"[^"{_ESCAPED}]*+(?:""[^"{_ESCAPED}]*+)*+"|[^"{d}\r\n{_ESCAPED}]*+)'
    return re.compile(rf"(?:{field}(?:{d}{field})*+\r?\n)*+")


@lru_cache
def proper_lines(delimiter: str, quote: str) -> re.Pattern[bytes]:
    r"""As many records in a row as are written as RFC 4180 says, each with its `\n`; maybe none.

    One pass over a block, at several times the speed of `skeleton`.
    """
    d, q = re.escape(delimiter), re.escape(quote)
    field = rf"(?:{q}[^{q}]*+(?:{q}{q}[^{q}]*+)*+{q}|[^{q}{d}\r\n]*+)"
    return re.compile(rf"(?:{field}(?:{d}{field}){{0,{_FIELDS_AT_ONCE}}}+\r?\n)*+".encode())


@lru_cache
def field_text(syntax: CsvSyntax) -> re.Pattern[str]:
    """One proper field (group 1 when quoted, else group 2) and its delimiter (group 3, empty after the last field)."""
    d, q = re.escape(syntax.delimiter), re.escape(syntax.quote)
    if not syntax.quote:
        quoted, plain = "(?!)", rf"[^{d}\r\n]"
    else:
        quoted, plain = _quoted(syntax), rf"[^{q}{d}\r\n]"
    if syntax.escape is not None:
        e = re.escape(syntax.escape)
        plain = rf"(?:{plain[:-1]}{e}]|{e}[\s\S])"
    return re.compile(rf"(?:({quoted})|({plain}*+))({d}|\Z)")


@lru_cache
def empty_line(delimiter: str) -> re.Pattern[bytes]:
    r"""A line end, and a line without any text after it: a blank one, or one of delimiters, blanks and empty quotes.

    Finds every such line that a text has but the first, and lines inside quoted fields that look like one. A line of
    dashes has no text either.
    """
    d = re.escape(delimiter).encode()
    dashes = rb"[+|: \t" + d + rb"]*+(?:---|===)[-=+|: \t" + d + rb"]*+"
    return re.compile(rb"\n(?:" + dashes + rb"|(?:[ \t" + d + rb']++|"")*+)\r?(?:\n|\Z)')


def unusual_line(delimiter: str, line: bytes) -> re.Pattern[bytes]:
    r"""A line end before a line that may be without any text, or that begins with `line`.

    Fast if there is none: a pattern that begins with one plain byte is looked for at memory speed.
    """
    d = re.escape(delimiter).encode()
    other = b"|" + re.escape(line) if line else b""
    return re.compile(rb"\n(?:[ \t\r\n" + d + rb']|""|---|===|\+-' + other + rb")")


@lru_cache
def ghost_record(delimiter: str) -> re.Pattern[bytes]:
    """A record, without its line end, of nothing but empty cells, two at least. A blank in quotes is text."""
    d = re.escape(delimiter).encode()
    blank = rb" *+" if delimiter == "\t" else rb"[ \t]*+"
    cell = blank + rb'(?:""' + blank + rb")?"
    return re.compile(cell + rb"(?:" + d + cell + rb")++")


@lru_cache
def dashes_record(delimiter: str) -> re.Pattern[bytes]:
    """A record, without its line end, of dashes alone, as programs draw them below a header and around a table."""
    d = re.escape(delimiter).encode()
    cell = rb"[ \t]*+:?(?:-{2,}+|={2,}+):?[ \t]*+"
    border = rb"[ \t]*+(?:" + d + rb")?"
    drawn = rb"(?:-{3,}+|={3,}+)(?:\+(?:-++|=++))*+\+?"
    return re.compile(
        rb"(?=[^\n]*?(?:---|===))(?:[ \t]*+\+?"
        + drawn
        + rb"[ \t]*+|"
        + border
        + cell
        + rb"(?:"
        + d
        + cell
        + rb")++"
        + border
        + rb")"
    )


def skeleton(parts: list[bytes], delimiter: str, quote: bytes = b'"') -> bytes | None:
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
    bones = quote.join(parts[::2])
    if len(parts) % 2 == 0:
        bones += quote
    while quote * 2 in bones:
        bones = bones.replace(quote * 2, quote)
    d = delimiter.encode()
    quotes = bones.count(quote)
    opened = bones.startswith(quote) + bones.count(d + quote) + bones.count(b"\n" + quote)
    if opened != quotes:
        return None
    closed = (
        bones.endswith((quote, quote + b"\r"))
        + bones.count(quote + d)
        + bones.count(quote + b"\n")
        + bones.count(quote + b"\r\n")
    )
    return bones if closed == quotes else None
