"""Entry point of the command `bulkport`, which says what to install where its extra is missing."""

import sys

from bulkport.extras import MissingExtra, require_extra


def main() -> None:
    """Run the command."""
    try:
        for module in ("typer", "rich"):
            require_extra("cli", module)
    except MissingExtra as error:
        sys.exit(str(error))
    from bulkport.cli.commands.main import main as run  # noqa: PLC0415 # needs the extra

    run()


if __name__ == "__main__":
    main()
