"""The `import` command."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bulkport.cli.exit_codes import ExitCode
from bulkport.imports.formats.media_type import BodyFormat


def add_import_command(
    app: typer.Typer,
    *,
    resources: Sequence[str],
    api_key_variable: str,
    default_url: str = "http://127.0.0.1:8000",
) -> None:
    """Add `import FILE --resource …` to an application.

    Parameters
    ----------
    resources:
        Names that `--resource` takes.
    api_key_variable:
        Environment variable that holds the API key where `--api-key` is not given.
    """

    def known_resource(value: str) -> str:
        if value not in resources:
            raise typer.BadParameter(f"{value!r} is not one of {', '.join(resources)}")
        return value

    @app.command("import", no_args_is_help=True)
    def import_file(
        file: Annotated[
            str,
            typer.Argument(
                help="File to import, or - for standard input. Its suffix says the format: .csv, .tsv, .ndjson, "
                ".jsonl or .json, each also with .gz or .zst behind it, which are sent as they are.",
                show_default=False,
            ),
        ],
        *,
        resource: Annotated[
            str,
            typer.Option(
                metavar="|".join(resources), help="What the rows are.", show_default=False, callback=known_resource
            ),
        ],
        url: Annotated[str, typer.Option(help="Address of the server.")] = default_url,
        api_key: Annotated[
            str, typer.Option(envvar=api_key_variable, help="API key.", show_default=False, show_envvar=True)
        ] = "",
        body_format: Annotated[
            BodyFormat | None,
            typer.Option("--format", help="Format of the file, where its name does not say it.", show_default=False),
        ] = None,
        delimiter: Annotated[
            str | None,
            typer.Option(help="What separates the fields of a CSV file: , ; | or tab.", show_default="comma"),
        ] = None,
        strict: Annotated[
            bool, typer.Option("--strict", help="Import nothing when any row is bad, instead of skipping bad rows.")
        ] = False,
        name: Annotated[str | None, typer.Option(help="Your name for the import.", show_default=False)] = None,
        client_id: Annotated[
            str | None, typer.Option(help="Your id for it, unique among your imports.", show_default=False)
        ] = None,
        mode: Annotated[
            str | None,
            typer.Option(
                help="insert, upsert, update, skip or delete, as far as the resource allows.", show_default=False
            ),
        ] = None,
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, and change nothing.")] = False,
        mapping: Annotated[
            list[str] | None,
            typer.Option("--map", metavar="HEADER:FIELD", help="Read a column as a field.", show_default=False),
        ] = None,
        option: Annotated[
            list[str] | None,
            typer.Option(
                "--option",
                "-o",
                metavar="NAME=VALUE",
                help="A further option of the server: -o charset=utf-16.",
                show_default=False,
            ),
        ] = None,
        errors_to: Annotated[
            Path | None,
            typer.Option(help="Write the rejected rows to this file: CSV, or NDJSON by its name.", show_default=False),
        ] = None,
        no_follow: Annotated[
            bool, typer.Option("--no-follow", help="Return as soon as the server has accepted the file.")
        ] = False,
    ) -> None:
        """Import a file of any size into a running server.

        Shows the upload and then the processing, and at the end the counts, the warnings and the first bad rows.

        Exit code 0: all rows were imported. 1: some rows failed. 2: the import failed or could not be sent.
        """
        from bulkport.cli.run_import import ImportRequest, run_import  # noqa: PLC0415  # slow to import

        messages = Console(stderr=True)
        if not api_key:
            messages.print(
                f"[bold red]error:[/] an API key is needed: --api-key or {api_key_variable}.",
                highlight=False,
                soft_wrap=True,
            )
            raise typer.Exit(ExitCode.NOT_IMPORTED)
        request = ImportRequest(
            file=file,
            resource=resource,
            url=url,
            api_key=api_key,
            api_key_variable=api_key_variable,
            format=body_format,
            delimiter={"tab": "\t", "\\t": "\t"}.get(delimiter or "", delimiter),
            is_strict=strict,
            follows=not no_follow,
            name=name,
            client_id=client_id,
            options=_options(option or [], mapping or [], mode=mode, is_dry_run=dry_run),
            errors_to=errors_to,
        )
        raise typer.Exit(run_import(request, output=Console(), messages=messages))


def _options(pairs: Sequence[str], mappings: Sequence[str], *, mode: str | None, is_dry_run: bool) -> dict[str, str]:
    options: dict[str, str] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name:
            raise typer.BadParameter(f"{pair!r} is not NAME=VALUE", param_hint="--option")
        options[name] = value
    if mappings:
        options["map"] = ",".join(mappings)
    if mode is not None:
        options["mode"] = mode
    if is_dry_run:
        options["dryRun"] = "true"
    return options
