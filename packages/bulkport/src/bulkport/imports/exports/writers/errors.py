"""Errors that the writer process reports to its server."""


class UnfitError(Exception):
    """The rows do not fit into the file; the message says why and what to do."""
