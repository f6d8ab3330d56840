"""Ranges as the text that PostgreSQL reads, their bounds read by the type of the range's values."""

from collections.abc import Callable, Mapping
from typing import Any

from bulkport.imports.values.arrays import MULTIRANGE, RANGE, TextRange, range_text, read_multirange, read_range
from bulkport.imports.values.faults import ValueFault

ToText = Callable[[Any], str]


def one_range(bound: ToText, value: Any) -> str:
    """A range from its literal, or from `{"lower": 1, "upper": 5, "bounds": "[)"}`."""
    if isinstance(value, str):
        parts: Any = read_range(value)
        if parts is None:
            return "empty"
        lower, upper, bounds = parts.lower, parts.upper, parts.bounds
    elif isinstance(value, Mapping) and value.keys() <= {"lower", "upper", "bounds"}:
        lower, upper, bounds = value.get("lower"), value.get("upper"), value.get("bounds", "[)")
        if bounds not in ("[)", "[]", "()", "(]"):
            raise ValueFault(RANGE, value)
    else:
        raise ValueFault(RANGE, value)
    texts = [None if limit is None else _bound(bound, limit) for limit in (lower, upper)]
    return range_text(texts[0], texts[1], bounds)


def _bound(bound: ToText, limit: Any) -> str:
    if isinstance(limit, str) and limit.strip() in ("infinity", "-infinity"):
        return limit.strip()
    return bound(limit)


def several_ranges(one: ToText, value: Any) -> str:
    if isinstance(value, str):
        parts: list[TextRange | None] = read_multirange(value)
        texts = ["empty" if part is None else one(range_text(part.lower, part.upper, part.bounds)) for part in parts]
    elif isinstance(value, list | tuple):
        texts = [one(part) for part in value]
    else:
        raise ValueFault(MULTIRANGE, value)
    return "{" + ",".join(texts) + "}"
