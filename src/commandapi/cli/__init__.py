"""The command `commandapi`: one module for each command.

Commands import what they run when they run, so that `--help` and `keys create` need not wait for a web server.
"""

from commandapi.cli.main import app, main

__all__ = ["app", "main"]
