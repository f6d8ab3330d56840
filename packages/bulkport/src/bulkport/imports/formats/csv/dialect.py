"""The CSV dialect: what is needed to read a chunk of a body."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from bulkport.errors import BadRequest

_DELIMITERS: Final = {",": ",", ";": ";", "|": "|", "\t": "\t", "tab": "\t", "\\t": "\t"}


@dataclass(frozen=True, slots=True)
class CsvSyntax:
    """Which characters have a meaning."""

    delimiter: str = ","
    quote: str = '"'
    """Empty where quotes are characters like any other."""
    escape: str | None = None
    """Before a character that means itself, inside quotes and outside (MySQL's and pandas' way)."""


@dataclass(frozen=True, slots=True)
class CsvDialect:
    """How the records of one body are written."""

    header: list[str]
    """Cells of the header row, in order, as they were written."""
    delimiter: str = ","
    quote: str = '"'
    escape: str | None = None
    charset: str | None = None
    """Of the body, if it is not UTF-8: its bad bytes are reported in its own terms."""
    report_columns: int = 0
    """How many columns at the end are those of an error report that is sent again; 0 if the body is none."""
    is_neutralized: bool = False
    """Whether cells have a `'` before what a spreadsheet would take for a formula."""

    @property
    def syntax(self) -> CsvSyntax:
        """Which characters have a meaning."""
        return CsvSyntax(self.delimiter, self.quote, self.escape)

    @property
    def named_width(self) -> int:
        """Number of columns up to the last one that has a name."""
        width = len(self.header)
        while width > 1 and not self.header[width - 1].strip():
            width -= 1
        return width

    def to_json(self) -> dict[str, Any]:
        """As it is stored with the import."""
        return {
            "header": self.header,
            "delimiter": self.delimiter,
            "quote": self.quote,
            "escape": self.escape,
            "charset": self.charset,
            "reportColumns": self.report_columns,
            "neutralized": self.is_neutralized,
        }

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Self:
        """The dialect that `to_json` wrote."""
        return cls(
            members["header"],
            members["delimiter"],
            members.get("quote", '"'),
            members.get("escape"),
            members.get("charset"),
            members.get("reportColumns", 0),
            members.get("neutralized", False),
        )


@dataclass(frozen=True, slots=True)
class BadRecord:
    r"""A record that could not be read; it becomes a row error."""

    raw: str
    r"""The record as it came, without its newline; bytes that are not text stand there as `\xFC`."""
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
