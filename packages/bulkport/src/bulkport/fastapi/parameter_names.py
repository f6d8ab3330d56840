"""Rejects misspelled query parameters: if ignored, `?dry_run=true` would store rows instead of testing them."""

import difflib
from collections.abc import Iterable
from typing import Final

from bulkport.errors import ValidationFailed

_MAX_LENGTH: Final = 40
_SHORTEST: Final = 5
_SIMILARITY: Final = 0.85


def require_spelling(given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse names that are all but those of parameters; others may be the application's own, and are passed over.

    Raises
    ------
    ValidationFailed
        A name differs from a known one in case, `_`, `-` or a letter or two; the message names the one that is meant.
    """
    names = set(known)
    meant = {_plain(name): name for name in names}
    errors: dict[str, list[str]] = {}
    for name in given:
        if name in names or len(name) > _MAX_LENGTH:
            continue
        plain = _plain(name)
        near = [plain] if plain in meant else difflib.get_close_matches(plain, meant, n=1, cutoff=_SIMILARITY)
        if near and (near[0] == plain or len(near[0]) >= _SHORTEST):
            errors[name] = [f"{name} is not a parameter of this request; did you mean {meant[near[0]]}?"]
    if errors:
        raise ValidationFailed(errors, "; ".join(message for messages in errors.values() for message in messages) + ".")


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")
