"""What the writing process tells its server."""


class UnfitError(Exception):
    """The rows do not fit into the file; says why, and what to do."""
