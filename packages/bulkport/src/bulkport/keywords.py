"""Checks keyword arguments described by a `TypedDict` at run time, as type checkers do statically."""

from collections.abc import Collection, Mapping
from difflib import get_close_matches


def require_known(given: Mapping[str, object], known: Collection[str], call: str) -> None:
    """Refuse keyword arguments that a call does not have, as Python itself would.

    Parameters
    ----------
    call
        What was called, for the message.

    Raises
    ------
    TypeError
        There are others; the message says which name may be meant.
    """
    for name in given:
        if name not in known:
            meant = get_close_matches(name, known, n=1)
            hint = f". Did you mean {meant[0]}=?" if meant else f"; it has {', '.join(sorted(known))}"
            raise TypeError(f"{call} has no keyword argument {name}={hint}")
