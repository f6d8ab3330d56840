"""What must be known of a CSV body to read a piece of it."""

from dataclasses import dataclass
from typing import Final

from bulkport.errors import BadRequest

_DELIMITERS: Final = {",": ",", ";": ";", "|": "|", "\t": "\t", "tab": "\t", "\\t": "\t"}


@dataclass(frozen=True, slots=True)
class CsvDialect:
    """How the records of one body are written."""

    header: list[str]
    """Cells of the header row, in order, as they were written."""
    delimiter: str = ","


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A record that could not be read; it becomes a row error."""

    raw: str
    """The record as it came, without its newline; bytes that are not UTF-8 are replaced by U+FFFD."""
    message: str
    """Why, readable alone."""


def parse_delimiter(delimiter: str | None) -> str:
    """The delimiter that a query parameter names: `,` (also when there is none), `;`, `|` or a tab (also as `tab`).

    Raises
    ------
    BadRequest
        If it is anything else.
    """
    found = _DELIMITERS.get(delimiter or ",")
    if found is None:
        raise BadRequest("delimiter must be one of , ; | and tab.")
    return found
