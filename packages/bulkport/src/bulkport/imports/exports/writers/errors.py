"""Errors of the writing process, for its server."""


class UnfitError(Exception):
    """The rows do not fit into the file; says why, and what to do."""
