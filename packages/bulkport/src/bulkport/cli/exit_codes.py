"""What the `import` command's exit code says to a script."""

from enum import IntEnum

from bulkport.client.answers import ShownStatus


class ExitCode(IntEnum):
    """Exit code of `import`."""

    ALL_IMPORTED = 0
    """Every row was imported; with `--no-follow`: the import was accepted."""
    SOME_FAILED = 1
    """Some rows were imported and some were not."""
    NOT_IMPORTED = 2
    """The import failed, or could not be sent. Typer's code for a wrong command line, too."""
    INTERRUPTED = 130
    """Ctrl-C; an import that had been accepted goes on."""

    @classmethod
    def of(cls, status: ShownStatus) -> "ExitCode":
        """The exit code for an import's final status."""
        match status:
            case ShownStatus.COMPLETED:
                return cls.ALL_IMPORTED
            case ShownStatus.PARTIAL_SUCCESS:
                return cls.SOME_FAILED
            case _:
                return cls.NOT_IMPORTED
