"""The `export` command."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from bulkport.cli.site import AsJson, Site
from bulkport.cli.wording import harmless, sized


def add_export_command(app: typer.Typer, site: Site) -> None:
    """Add `export RESOURCE FILE` to an application."""
    Url = Annotated[str, site.url_option]  # noqa: N806 # types
    Key = Annotated[str, site.key_option]  # noqa: N806

    @app.command("export")
    def export(
        resource: Annotated[str, typer.Argument(help="Resource to export.", show_default=False)],
        file: Annotated[
            str,
            typer.Argument(
                help="File to write: .csv, .ndjson, .xlsx or .parquet; - for standard output.", show_default=False
            ),
        ],
        *,
        url: Url = site.default_url,
        api_key: Key = "",
        file_format: Annotated[
            Literal["csv", "ndjson", "xlsx", "parquet"] | None,
            typer.Option("--format", help="Format of the file, if its name does not tell.", show_default=False),
        ] = None,
        search: Annotated[str | None, typer.Option(help="Only rows with this text.", show_default=False)] = None,
        null_word: Annotated[
            str | None,
            typer.Option(help="Text that represents null in CSV and workbooks.", show_default="nothing"),
        ] = None,
        as_json: AsJson = False,
    ) -> None:
        """Export a resource's rows to a file that can be imported again."""
        from rich.console import Console  # slow to import

        from bulkport.cli.tables import print_json

        with site.connected(url, api_key, stopped=lambda: _stopped(file)) as client:
            if file == "-":
                for block in client.export_blocks(resource, file_format or "csv", search=search, null_word=null_word):
                    sys.stdout.buffer.write(block)
                sys.stdout.buffer.flush()
                return
            size = client.export(resource, Path(file), format=file_format, search=search, null_word=null_word)
        if as_json:
            print_json([{"file": file, "bytes": size}])
        else:
            Console().print(f"{harmless(file)}: {sized(size)}", highlight=False)


def _stopped(file: str) -> str:
    return "Stopped; what was written is incomplete." if file == "-" else f"Stopped; {harmless(file)} was not written."
