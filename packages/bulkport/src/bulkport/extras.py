"""Extras: parts of the library that need packages beyond a plain `pip install bulkport`."""

from importlib.util import find_spec
from typing import Final


class MissingExtra(ImportError):
    """The packages of an optional part of Bulkport are not installed."""


_MODULES: Final = {"webhooks": "httpcore"}
"""A package by which an extra that is used where it is installed is known."""


def has_extra(extra: str) -> bool:
    """Whether the packages of an extra are installed."""
    return find_spec(_MODULES[extra]) is not None


def require_extra(extra: str, module: str) -> None:
    """Require `module`, which belongs to `extra`, to be installed.

    Raises
    ------
    MissingExtra
        It is not; the message says what to install.
    """
    if find_spec(module) is None:
        raise MissingExtra(
            f"this part of Bulkport requires the package {module}: pip install 'bulkport[{extra}]'", name=module
        )
