"""Numbers from text, to the last digit."""

import math
import re
from decimal import Decimal
from typing import Any, Final, Self

from bulkport.imports.values.faults import ValueFault
from bulkport.imports.values.options import PLAIN, ValueOptions

_INTEGER: Final = re.compile(r"[+-]?[0-9]+")
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?")
_SPECIAL: Final = {
    "nan": math.nan,
    "inf": math.inf,
    "+inf": math.inf,
    "infinity": math.inf,
    "+infinity": math.inf,
    "-inf": -math.inf,
    "-infinity": -math.inf,
}
_MAX_INTEGER_DIGITS: Final = 4300
# What PostgreSQL's numeric holds: digits before and after the point (manual, 8.1.2).
_MAX_WHOLE_DIGITS: Final = 131_072
_MAX_SCALE: Final = 16_383
_GROUPS: Final = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+")
_INDIAN_GROUPS: Final = re.compile(r"[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}")
_DIGITS: Final = frozenset("0123456789")
_BLANKS: Final = " \t\r\n\u00a0"
_SPACES: Final = frozenset(" '\u2019\u00a0\u2009\u202f")  # also the apostrophe of Switzerland
_SEPARATORS: Final = {".": _SPACES | {","}, ",": _SPACES | {"."}}

NULL_WORDS: Final = frozenset({"na", "n/a", "#n/a", "null", "none", "nil", "nan", "-", "--", "\\n", "?"})
"""How programs write that there is no value."""
_MISPLACED_MINUS: Final = re.compile(
    r"[\u2212\u2013\u2012\ufe63\uff0d]\s*[0-9]|[0-9.,]\s*-\s*\Z|\A\s*\(.*[0-9].*\)\s*\Z"
)
_CURRENCY: Final = re.compile("[$\u00a2-\u00a5\u20a0-\u20cf\ufdfc]|\\A\\s*[A-Z]{3}\\s*[0-9]|[0-9]\\s*[A-Z]{3}\\s*\\Z")
_OTHER_DIGITS: Final = re.compile(r"(?![0-9])\d")
_SCIENTIFIC: Final = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]+)?[eE][+-]?[0-9]+")

WHOLE_NUMBER: Final = "must be a whole number, not {value}"
NUMBER: Final = "must be a number, not {value}"
OUT_OF_RANGE: Final = "is out of range: {value}"
NOT_FINITE: Final = "must be a finite number, not {value}"


class ExactFloat(float):
    """A float that remembers the digits it was written with: a numeric column takes those."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Self:
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __reduce__(self) -> tuple[Any, ...]:
        return (ExactFloat, (self.text,))


def read_integer(text: str, options: ValueOptions = PLAIN) -> int:
    """A whole number: digits, perhaps after a sign. Neither `1.0` nor `1_000` is one."""
    plain = _plain(text, options)
    if plain is None or not _INTEGER.fullmatch(plain):
        raise ValueFault(WHOLE_NUMBER + _hint(text, options), text)
    if len(plain) > _MAX_INTEGER_DIGITS:
        raise ValueFault(OUT_OF_RANGE, text)
    return int(plain)


def read_decimal(text: str, options: ValueOptions = PLAIN) -> Decimal:
    """A decimal number with all its digits, in plain or scientific notation."""
    plain = _plain(text, options)
    if plain is None or not _DECIMAL.fullmatch(plain):
        message = NOT_FINITE if text.strip().casefold() in _SPECIAL else NUMBER + _hint(text, options)
        raise ValueFault(message, text)
    return bounded(Decimal(plain), text)


def read_float(text: str, options: ValueOptions = PLAIN, *, allow_special: bool = False) -> float:
    """The binary number nearest to a decimal one.

    Parameters
    ----------
    allow_special:
        Whether `NaN`, `Infinity` and `-Infinity` are taken.
    """
    plain = _plain(text, options)
    if plain is None or not _DECIMAL.fullmatch(plain):
        special = _SPECIAL.get(text.strip().casefold())
        if special is None:
            raise ValueFault(NUMBER + _hint(text, options), text)
        if not allow_special:
            raise ValueFault(NOT_FINITE, text)
        return special
    return in_float_range(ExactFloat(plain), text)


def in_float_range(number: ExactFloat, given: Any) -> ExactFloat:
    """The number, if double precision holds it: `1e400` is no infinity, and `1e-400` is not zero."""
    if math.isinf(number) or (not number and re.search(r"[1-9]", re.split("[eE]", number.text)[0])):
        raise ValueFault(OUT_OF_RANGE, given)
    return number


def bounded(number: Decimal, given: Any) -> Decimal:
    """The number, if PostgreSQL's numeric holds it."""
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)  # finite
    if not -_MAX_SCALE <= exponent <= _MAX_WHOLE_DIGITS or (number and number.adjusted() >= _MAX_WHOLE_DIGITS):
        raise ValueFault(OUT_OF_RANGE, given)
    return number


def _plain(text: str, options: ValueOptions) -> str | None:
    """The text with a point before the fraction and no groups; None if the groups are none."""
    plain = text.strip(_BLANKS)
    if options.decimal is None:
        return plain
    sign = plain[:1] if plain[:1] in ("+", "-") else ""
    whole, point, fraction = plain[len(sign) :].partition(options.decimal)
    if not whole.isdigit():
        separators = set(whole) - _DIGITS
        if len(separators) > 1 or not separators <= _SEPARATORS[options.decimal]:
            # An exponent without a point, or no number: the pattern decides.
            return None if separators & {".", ","} else plain
        if separators and not _GROUPS.fullmatch(whole.replace(separators.pop(), ",")):
            return plain.replace(",", "") if options.decimal == "." and _INDIAN_GROUPS.fullmatch(whole) else None
    return sign + "".join(filter(_DIGITS.__contains__, whole)) + (("." + fraction) if point else "")


def _hint(text: str, options: ValueOptions) -> str:
    if "_" in text:
        return "; write it without underscores"
    if text.strip().casefold() in NULL_WORDS:
        return f"; if it means null, set nullWords={text.strip()}"
    if _MISPLACED_MINUS.search(text):
        return "; write a negative number with - before its digits"
    if "%" in text:
        return "; write it without the percent sign"
    if _CURRENCY.search(text):
        return "; write it without the currency"
    if _OTHER_DIGITS.search(text):
        return "; write it with the digits 0 to 9"
    if _SCIENTIFIC.fullmatch(text.strip()):
        return "; write all of its digits"
    if options.decimal is None:
        return "; write a point before the fraction and no separators, or set decimal" if "," in text else ""
    return f"; the decimal sign of this import is '{options.decimal}'" if "." in text or "," in text else ""
