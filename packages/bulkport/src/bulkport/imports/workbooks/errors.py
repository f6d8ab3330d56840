"""Errors of the converting process, for its server."""

from typing import Final

DAMAGED: Final = 3
"""Exit status of a converter that met damage in the middle of the file."""


class UnreadableFileError(Exception):
    """The file cannot be read; says why, to be read after `The file cannot be read:`."""
