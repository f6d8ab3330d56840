"""Exit codes of `import`, `imports …` and `export`."""

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bulkport.client import ShownStatus


class ExitCode(IntEnum):
    """Exit code of a command that talks to a server."""

    ALL_IMPORTED = 0
    """Every row was imported; with `--no-follow`: the import was accepted. Of other commands: it was done."""
    SOME_FAILED = 1
    """Some rows were imported and some were not."""
    NOT_IMPORTED = 2
    """The import failed, was undone, or could not be sent; the server refused. A wrong command line, too."""
    INTERRUPTED = 130
    """Ctrl-C; an accepted import continues."""

    @classmethod
    def of(cls, status: "ShownStatus") -> "ExitCode":
        """The exit code for an import's final status."""
        from bulkport.client import ShownStatus  # slow to import

        match status:
            case ShownStatus.COMPLETED:
                return cls.ALL_IMPORTED
            case ShownStatus.PARTIAL_SUCCESS:
                return cls.SOME_FAILED
            case _:
                return cls.NOT_IMPORTED
