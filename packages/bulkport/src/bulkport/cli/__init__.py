"""The command line of bulk imports: `import`, `imports …` and `export` for any Typer application.

An application adds it with the names of its resources::

    app = typer.Typer()
    add_import_command(app, resources=["platforms", "commands"], api_key_variable="COMMANDAPI_API_KEY")
    add_imports_commands(app, api_key_variable="COMMANDAPI_API_KEY")
"""

from bulkport.cli.exit_codes import ExitCode
from bulkport.cli.import_command import add_import_command
from bulkport.cli.imports_commands import add_imports_commands

__all__ = ["ExitCode", "add_import_command", "add_imports_commands"]
