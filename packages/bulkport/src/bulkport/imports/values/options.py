"""What the client or the resource says about how values are written."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

TRUE_WORDS: Final = ("true", "t", "yes", "y", "on", "1")
FALSE_WORDS: Final = ("false", "f", "no", "n", "off", "0")


class Blank(StrEnum):
    """What a blank cell means."""

    NULL = "null"
    """The value is null; a field that cannot be null takes its default, and without one the row is an error."""
    EMPTY = "empty"
    """Text is empty; a value of another type is null."""
    KEEP = "keep"
    """As if the row did not have the column: an update keeps the stored value."""


@dataclass(frozen=True)
class ValueOptions:
    """How values are written. The defaults are the plain forms of the reference."""

    decimal: str | None = None
    """Sign before the fraction of a number, `.` or `,`; where it is said, the other one or a blank may stand between
    groups of three digits. None: a point, and no groups."""
    date_format: str | None = None
    """Format of dates and of the date in times, such as `DD.MM.YYYY`."""
    excel_dates: str | None = None
    """`1900` or `1904`: digits in columns of dates are a spreadsheet's serial days since then."""
    zone: str | None = None
    """IANA zone of times without an offset, for columns that keep the moment."""
    trim: bool = False
    """Whether whitespace around text is dropped."""
    normalize: Literal["NFC", "NFD", "NFKC", "NFKD"] | None = None
    """Unicode normalisation form of text."""
    true_words: tuple[str, ...] = ()
    """Words for true in place of the usual ones, compared without case."""
    false_words: tuple[str, ...] = ()
    null_words: tuple[str, ...] = ()
    """Cells that mean null, compared exactly, such as `NULL` or `n/a`."""
    blank: Blank | None = None
    """What a blank cell means; by default the field's default, else null, else empty text."""

    @cached_property
    def time_zone(self) -> ZoneInfo | None:
        """The declared zone."""
        return ZoneInfo(self.zone) if self.zone else None

    @cached_property
    def booleans(self) -> Mapping[str, bool]:
        """Value by word, in lower case."""
        words = dict.fromkeys((word.casefold() for word in self.true_words or TRUE_WORDS), True)
        words |= dict.fromkeys((word.casefold() for word in self.false_words or FALSE_WORDS), False)
        return MappingProxyType(words)

    @cached_property
    def are_plain_cells(self) -> bool:
        """Whether cells are used unchanged, without trimming, normalising or null words."""
        return not (self.trim or self.normalize or self.null_words or self.blank)

    @classmethod
    def of(cls, reading: Any) -> "ValueOptions":
        """The options of an import, from an object that has some of these attributes."""
        if reading is None:
            return PLAIN
        given = {name: getattr(reading, name, None) for name in cls.__dataclass_fields__}
        chosen = {name: value for name, value in given.items() if value is not None}
        for name in ("true_words", "false_words", "null_words"):
            if name in chosen:
                chosen[name] = tuple(chosen[name])
        if "blank" in chosen:
            chosen["blank"] = Blank(chosen["blank"])
        for name in ("normalize", "excel_dates"):
            if name in chosen:
                chosen[name] = str(chosen[name])
        return cls(**chosen)


PLAIN: Final = ValueOptions()
"""Values in their plain forms."""
