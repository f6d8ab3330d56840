"""Reading options of a body: chosen by its request or its resource, or detected.

One value goes all the way: a resource declares defaults (`Resource.reading`), a request overrides them by its query
parameters (`options_query`), detection fills in what neither of them says, and the import keeps the result. Clients see
it as `reading`::

    {"encoding": "windows-1252", "delimiter": ";", "headerRow": 3, "detected": ["encoding", "headerRow"]}
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Final, Self


class Blank(StrEnum):
    """What a blank cell means for a stored row."""

    NULL = "null"
    """Store null."""
    EMPTY = "empty"
    """Store empty text."""
    KEEP = "keep"
    """Keep the stored value, as if the file did not have the column."""


class Normalization(StrEnum):
    """Unicode normalisation forms (UAX #15)."""

    NFC = "NFC"
    NFD = "NFD"
    NFKC = "NFKC"
    NFKD = "NFKD"


class ExcelDates(StrEnum):
    """What day the first day is, for numbers that are dates."""

    FROM_1900 = "1900"
    FROM_1904 = "1904"


@dataclass(frozen=True, slots=True)
class ReadingOptions:
    """How a body is read. None or empty means not set: detection or the default applies.

    Rows of a file are counted from 1. Names of fields are those on the wire.
    """

    charset: str | None = None
    """Character encoding, as `charsets.find_charset` names it."""
    delimiter: str | None = None
    """Between two cells of a CSV record: one of `,` `;` `|` and a tab."""
    quote: str | None = None
    """The quote character of CSV: `"` or `'`; empty if quotes have no meaning."""
    escape: str | None = None
    """Before a character of a CSV cell that means itself, as in MySQL's and pandas' files; a backslash."""
    comment: str | None = None
    """How lines begin that are not records."""
    skip_rows: int | None = None
    """Lines before the header row that are not records."""
    header_row: int | None = None
    """Row of the header."""
    data_row: int | None = None
    """Row of the first record; those between it and the header are not records."""
    sheet: str | None = None
    """Sheet of a workbook, by its name or by its number from 1."""
    map: Mapping[str, str] = field(default_factory=dict)
    """Field by column header, for columns that are called otherwise."""
    set: Mapping[str, str] = field(default_factory=dict)
    """Text by field, for fields that have one value in all rows."""
    decimal: str | None = None
    """Decimal sign of numbers in text: `.` or `,`; the other one may separate thousands."""
    date_format: str | None = None
    """Format of dates in text, such as `DD.MM.YYYY` or `MM/DD/YYYY HH:mm`."""
    zone: str | None = None
    """Time zone of times without an offset: an IANA name."""
    trim: bool | None = None
    """Whether blanks at the ends of text are taken away."""
    normalize: Normalization | None = None
    """Normalisation form that text is brought to."""
    true_words: tuple[str, ...] | None = None
    """Words for true."""
    false_words: tuple[str, ...] | None = None
    """Words for false."""
    null_words: tuple[str, ...] | None = None
    """Words for null."""
    blank: Blank | None = None
    """What a blank cell means."""
    excel_dates: ExcelDates | None = None
    """Whether numbers in columns of dates are Excel's serial days, and since when they count."""
    neutralize: bool | None = None
    """Whether a `'` that keeps spreadsheets from taking a cell for a formula is taken away."""
    detected: tuple[str, ...] = ()
    """Which of these were found by looking at the body, by their names in JSON."""

    def over(self, defaults: Self) -> Self:
        """These options, completed by `defaults`. Mappings are merged."""
        found = {
            own.name: getattr(self, own.name) if getattr(self, own.name) is not None else getattr(defaults, own.name)
            for own in fields(self)
        }
        found["map"] = {**defaults.map, **self.map}
        found["set"] = {**defaults.set, **self.set}
        return replace(self, **found)

    def detect(self, **found: Any) -> Self:
        """These options, completed by what was detected in the body. Options that are set stay."""
        new = {name: value for name, value in found.items() if value is not None and getattr(self, name) is None}
        if not new:
            return self
        names = dict.fromkeys((*self.detected, *(_JSON_NAMES[name] for name in new)))
        return replace(self, **new, detected=tuple(names))

    def to_json(self) -> dict[str, Any]:
        """What is said, as members of a JSON object; also how it is stored."""
        members: dict[str, Any] = {}
        for name, wire in _JSON_NAMES.items():
            value = getattr(self, name)
            if value is None or (value == () and name == "detected") or value == {}:
                continue
            members[wire] = list(value) if isinstance(value, tuple) else value
        return members

    @classmethod
    def from_json(cls, members: Mapping[str, Any] | None) -> Self:
        """The options that `to_json` wrote."""
        values: dict[str, Any] = {}
        for name, wire in _JSON_NAMES.items():
            if members is None or members.get(wire) is None:
                continue
            value = members[wire]
            kind = _ENUMS.get(name)
            values[name] = kind(value) if kind else tuple(value) if isinstance(value, list) else value
        return cls(**values)


_ENUMS: Final[Mapping[str, type[StrEnum]]] = {
    "normalize": Normalization,
    "blank": Blank,
    "excel_dates": ExcelDates,
}
_JSON_NAMES: Final[Mapping[str, str]] = {
    "charset": "encoding",
    "delimiter": "delimiter",
    "quote": "quote",
    "escape": "escape",
    "comment": "comment",
    "skip_rows": "skipRows",
    "header_row": "headerRow",
    "data_row": "dataRow",
    "sheet": "sheet",
    "map": "map",
    "set": "set",
    "decimal": "decimal",
    "date_format": "dateFormat",
    "zone": "timeZone",
    "trim": "trim",
    "normalize": "normalize",
    "true_words": "trueWords",
    "false_words": "falseWords",
    "null_words": "nullWords",
    "blank": "blank",
    "excel_dates": "excelDates",
    "neutralize": "neutralize",
    "detected": "detected",
}
