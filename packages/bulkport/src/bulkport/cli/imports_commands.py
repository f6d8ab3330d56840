"""The `imports` commands, which inspect and control imports on a server, and `export`."""

import typer

from bulkport.cli.export_command import add_export_command
from bulkport.cli.lazy_group import lazy_group
from bulkport.cli.site import Site


def add_imports_commands(
    app: typer.Typer,
    *,
    api_key_variable: str,
    default_url: str = "http://127.0.0.1:8000",
    prefix: str = "/api",
) -> None:
    """Add `imports list|show|watch|errors|results|cancel|undo|retry` and `export` to an application.

    Parameters
    ----------
    api_key_variable:
        Environment variable that holds the API key where `--api-key` is not given.
    prefix:
        Path below which the application has its routes.
    """
    site = Site(api_key_variable, default_url, prefix)

    def load() -> typer.Typer:
        from bulkport.cli.control_commands import add_control_commands  # slow to import
        from bulkport.cli.reading_commands import add_reading_commands

        imports = typer.Typer()
        add_reading_commands(imports, site)
        add_control_commands(imports, site)
        return imports

    app.add_typer(lazy_group(load, help_text="Inspect, cancel, undo and retry imports on a server."), name="imports")
    add_export_command(app, site)
