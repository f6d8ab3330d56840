"""Truncates JSON values for pages: the beginning of long texts, the first members of long lists."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final

from bulkport.dashboard.core.formatting import number
from bulkport.dashboard.core.language import t
from bulkport.jobs.job import JSONValue

MOST_CHARACTERS: Final = 4_000
MOST_MEMBERS: Final = 200


def shortened(arguments: Mapping[str, JSONValue]) -> tuple[Mapping[str, JSONValue], bool]:
    """Arguments with long parts truncated and noted, and whether there were any.

    Members are counted over the whole value: many short lists are as long as one.
    """
    left = [MOST_MEMBERS * 5]
    cut = [False]

    def short(value: JSONValue) -> JSONValue:
        if isinstance(value, str):
            return _beginning(value, cut)
        if isinstance(value, Mapping):
            kept = {_beginning(name, cut): short(inner) for name, inner in islice(value.items(), _room(value, left))}
            return kept | _rest(len(value) - len(kept), cut)
        if isinstance(value, Sequence):
            first = [short(inner) for inner in islice(value, _room(value, left))]
            return [*first, *_rest(len(value) - len(first), cut)]
        return value

    found = short(arguments)
    assert isinstance(found, Mapping)
    return found, cut[0]


def _room(value: Mapping[str, JSONValue] | Sequence[JSONValue], left: list[int]) -> int:
    room = max(0, min(len(value), MOST_MEMBERS, left[0]))
    left[0] -= room
    return room


def _beginning(text: str, cut: list[bool]) -> str:
    if len(text) <= MOST_CHARACTERS:
        return text
    cut[0] = True
    return t("{beginning}… ({count} characters)", beginning=text[:MOST_CHARACTERS], count=number(len(text)))


def _rest(count: int, cut: list[bool]) -> dict[str, JSONValue]:
    """The placeholder for `count` hidden members."""
    if not count:
        return {}
    cut[0] = True
    return {t("… {count} more", count=number(count)): None}
