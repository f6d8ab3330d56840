"""Removes lines that are not records from a CSV body before it is stored."""

from collections.abc import Iterable
from typing import Final

from bulkport.imports.formats.csv.dialect import CsvSyntax
from bulkport.imports.formats.csv.grammar import dashes_record, empty_line, ghost_record, unusual_line

_MARK: Final = b"\xef\xbb\xbf"
_FORM_FEED: Final = b"\x0c"
"""Begins a page, as the line printers of mainframes are told, and no value."""
_BLANK: Final = frozenset({b"\n", b"\r\n"})


class Cleaner:
    """Removes lines that are not records, and counts those worth a warning.

    Parameters
    ----------
    header:
        The header row as it was written, without its line end.
    comment:
        How lines begin that are comments.
    """

    def __init__(self, syntax: CsvSyntax, header: bytes, comment: str | None) -> None:
        header = header.lstrip(_FORM_FEED)
        self._empty = empty_line(syntax.delimiter)
        self._ghost = ghost_record(syntax.delimiter)
        self._dashes = dashes_record(syntax.delimiter)
        self._delimiter = syntax.delimiter.encode()
        self._header = header
        # The name of the only column may be a value too.
        self._knows_header = syntax.delimiter.encode() in header
        self._unusual = unusual_line(syntax.delimiter, header if self._knows_header else b"")
        self._comment = comment.encode() if comment else None
        self._ghosts = self._headers = self._marks = self._rulers = self._form_feeds = 0

    def is_clean(self, payload: bytes) -> bool:
        """Whether there are none for sure."""
        # Byte order marks are looked for by their first byte: searching for three takes ten times as long.
        if self._comment is not None or _FORM_FEED in payload or (_MARK[0] in payload and _MARK in payload):
            return False
        first = payload[: payload.find(b"\n") + 1]
        if self._empty.match(b"\n" + first) or (self._knows_header and first.startswith(self._header)):
            return False
        if self._unusual.search(payload) is None:
            return True
        has_header = self._knows_header and b"\n" + self._header in payload
        return not has_header and self._empty.search(payload) is None

    def clean(self, lines: Iterable[bytes]) -> list[bytes]:
        """The records among these lines."""
        records: list[bytes] = []
        joined = _MARK + self._header
        for line in lines:
            if line in _BLANK:
                continue
            if joined in line and not line.startswith(joined):
                # Files put together without a newline between them.
                before, _, after = line.partition(joined)
                records += self._record(before + b"\n")
                records += self._record(joined + after)
            else:
                records += self._record(line)
        return records

    def warnings(self) -> list[str]:
        """The lines removed so far, except blank lines and comments."""
        found = []
        if self._ghosts:
            rows = "1 row of empty cells was" if self._ghosts == 1 else f"{self._ghosts} rows of empty cells were"
            found.append(f"{rows} ignored")
        if self._rulers:
            lines = "1 line of dashes was" if self._rulers == 1 else f"{self._rulers} lines of dashes were"
            found.append(f"{lines} ignored")
        if self._headers:
            times = "once" if self._headers == 1 else f"{self._headers} times"
            found.append(f"The header row came {times} more among the records and was ignored there")
        if self._marks:
            found.append(byte_order_marks_warning(self._marks))
        if self._form_feeds:
            signs = "A form feed was" if self._form_feeds == 1 else f"{self._form_feeds} form feeds were"
            found.append(f"{signs} ignored at the beginning of a row")
        return found

    def _is_ghost(self, text: bytes) -> bool:
        """Whether a record, without its line end, has empty cells alone: two at least, or no delimiter either."""
        if b'"' in text:
            return self._ghost.fullmatch(text) is not None
        # At memory speed, however many cells it has. Where there is one column, blanks may be its value.
        may_be = self._knows_header or self._delimiter in text
        return may_be and not text.translate(None, b" \t" + self._delimiter)

    def _record(self, line: bytes) -> list[bytes]:
        has_mark = line.startswith(_MARK)
        if has_mark:
            line = line[len(_MARK) :]
            self._marks += 1
        if line.startswith(_FORM_FEED):
            line = line.lstrip(_FORM_FEED)
            self._form_feeds += 1
        text = line.removesuffix(b"\n").removesuffix(b"\r")
        if not text or (self._comment is not None and text.startswith(self._comment)):
            return []
        if text == self._header and (self._knows_header or has_mark):
            self._headers += 1
            return []
        if self._is_ghost(text):
            self._ghosts += 1
            return []
        if self._knows_header and self._dashes.fullmatch(text):  # in the only column they may be a value
            self._rulers += 1
            return []
        return [line]


def byte_order_marks_warning(count: int) -> str:
    """The warning about byte order marks inside a body."""
    marks = "A byte order mark (U+FEFF) was" if count == 1 else f"{count} byte order marks (U+FEFF) were"
    return f"{marks} ignored at the beginning of a row, as in concatenated files"
