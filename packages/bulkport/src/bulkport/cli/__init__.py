"""The command line of bulk imports: an `import` command for any Typer application.

An application adds it with the names of its resources::

    app = typer.Typer()
    add_import_command(app, resources=["platforms", "commands"], api_key_variable="COMMANDAPI_API_KEY")
"""

from bulkport.cli.exit_codes import ExitCode
from bulkport.cli.import_command import add_import_command

__all__ = ["ExitCode", "add_import_command"]
