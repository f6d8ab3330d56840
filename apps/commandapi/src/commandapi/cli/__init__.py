"""The command `commandapi`: one module for each command.

Commands import what they run when they run, so that `--help` and `keys create` need not wait for a web server.
"""

import sys


def main() -> None:
    """Run the command line. Ctrl-C ends it quietly from its first moment, while it is still being loaded."""
    try:
        from commandapi.cli.main import main as run  # noqa: PLC0415  # inside what catches Ctrl-C

        run()
    except KeyboardInterrupt:
        sys.exit(130)
