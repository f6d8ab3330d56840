"""Masks argument values by name."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final

from bulkport.jobs.job import JSONValue

DEFAULT_MASKED_NAMES: Final = ("password", "token", "secret", "api_key", "authorization")
MASK: Final = "••••••"
DEEPER: Final = "…"
MOST_LEVELS: Final = 40

_MOST_REMEMBERED: Final = 4096
_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


class Masking:
    """Hides the values of some names, wherever they are in a job's arguments.

    A name is hidden when a run of its words is one of `names`, in any spelling: `api_key` hides `apiKey`, `X-Api-Key`,
    `APIKEY` and `old_api_keys`, but not `keyboard`. What is nested deeper than anybody reads is hidden too: pages draw
    a level by a call within a call.
    """

    def __init__(self, names: Iterable[str] = DEFAULT_MASKED_NAMES) -> None:
        self._names = frozenset("".join(_words(name)) for name in names) - {""}
        # A list of jobs has the same few names again and again.
        self.hides = lru_cache(_MOST_REMEMBERED)(self._hides)
        """Whether a value of this name is hidden."""

    def _hides(self, name: str) -> bool:
        words = _words(name)
        runs = ("".join(words[start:end]) for start in range(len(words)) for end in range(start + 1, len(words) + 1))
        return any(run in self._names or run.removesuffix("s") in self._names for run in runs)

    def apply(self, value: JSONValue, *, levels: int = MOST_LEVELS) -> JSONValue:
        """The value with what is hidden replaced by `MASK`; None stays, for it reveals nothing.

        Parameters
        ----------
        levels:
            How deep it may be nested; what is below is `DEEPER`.
        """
        if isinstance(value, Mapping):
            return {
                name: MASK if self.hides(name) and inner is not None else self._within(inner, levels)
                for name, inner in value.items()
            }
        if isinstance(value, Sequence) and not isinstance(value, str):
            return [self._within(inner, levels) for inner in value]
        return value

    def _within(self, value: JSONValue, levels: int) -> JSONValue:
        is_flat = not value or isinstance(value, str) or not isinstance(value, (Mapping, Sequence))
        return value if is_flat else self.apply(value, levels=levels - 1) if levels > 1 else DEEPER


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORDS.findall(name)]


def unmasked(given: JSONValue, stored: JSONValue) -> JSONValue:
    """The value from a form, with still masked parts replaced by the stored ones; None if nothing is stored."""
    if given in (MASK, DEEPER):
        return stored
    if isinstance(given, Mapping) and isinstance(stored, Mapping):
        return {name: unmasked(inner, stored.get(name)) for name, inner in given.items()}
    if isinstance(given, list) and isinstance(stored, list):
        return [unmasked(inner, stored[place] if place < len(stored) else None) for place, inner in enumerate(given)]
    return given


def is_masked(value: JSONValue) -> bool:
    """Whether some of it is masked."""
    if isinstance(value, Mapping):
        return any(map(is_masked, value.values()))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return any(map(is_masked, value))
    return value in (MASK, DEEPER)
