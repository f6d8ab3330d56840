"""Fields that records have and the model does not know."""

from collections.abc import Iterable
from typing import Final

import msgspec


class UnknownFields:
    """Names that records have and the model does not know.

    Parameters
    ----------
    known:
        Every name a record may have.
    """

    MAX_NAMES: Final = 50
    MAX_LENGTH: Final = 100
    """In characters; longer names are cut."""

    def __init__(self, known: Iterable[str]) -> None:
        self._known = frozenset(known)
        self._seen: set[str] = set()
        self.names: set[str] = set()
        self._members = msgspec.json.Decoder(dict[str, msgspec.Raw])

    def note(self, record: bytes) -> list[str]:
        """Note the unknown names of a record.

        Returns
        -------
        Those not noted before; none of them once `MAX_NAMES` have been noted.
        """
        if len(self._seen) >= self.MAX_NAMES:
            return []
        try:
            members = self._members.decode(record)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return []
        new = [name for name in members if name not in self._known and name not in self._seen]
        new = new[: self.MAX_NAMES - len(self._seen)]
        self._seen.update(new)
        self.names.update(map(_reportable, new))
        return new


def _reportable(name: str) -> str:
    short = name if len(name) <= UnknownFields.MAX_LENGTH else name[: UnknownFields.MAX_LENGTH - 1] + "…"
    return short.replace("\0", "\N{REPLACEMENT CHARACTER}")
