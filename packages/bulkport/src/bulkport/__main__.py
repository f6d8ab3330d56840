"""Entry point of the command `bulkport`; without the extra `cli`, it says what to install."""

import sys

from bulkport.extras import MissingExtra, require_extra


def main() -> None:
    """Run the command."""
    try:
        for module in ("typer", "rich"):
            require_extra("cli", module)
    except MissingExtra as error:
        sys.exit(str(error))
    try:
        from bulkport.cli.commands.main import main as run  # noqa: PLC0415 # needs the extra

        run()
    except KeyboardInterrupt:  # while it is being loaded
        sys.exit(130)


if __name__ == "__main__":
    main()
