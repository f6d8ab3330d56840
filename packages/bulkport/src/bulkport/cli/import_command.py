"""The `import` command."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from bulkport.cli.site import AsJson, Site
from bulkport.imports.body_format import BodyFormat


def add_import_command(
    app: typer.Typer,
    *,
    resources: Sequence[str],
    api_key_variable: str,
    default_url: str = "http://127.0.0.1:8000",
    prefix: str = "/api",
) -> None:
    """Add `import FILE --resource …` to an application.

    Parameters
    ----------
    resources:
        Names that `--resource` takes.
    api_key_variable:
        Environment variable that holds the API key where `--api-key` is not given.
    prefix:
        Path below which the application has its routes.
    """
    site = Site(api_key_variable, default_url, prefix)
    Url = Annotated[str, site.url_option]  # noqa: N806 # types
    Key = Annotated[str, site.key_option]  # noqa: N806

    def known_resource(value: str) -> str:
        if value not in resources:
            raise typer.BadParameter(f"{value!r} is not one of {', '.join(resources)}")
        return value

    @app.command("import", no_args_is_help=True)
    def import_file(
        file: Annotated[
            str,
            typer.Argument(
                help="File to import, or - for standard input. Its suffix determines the format: .csv, .tsv, .ndjson, "
                ".jsonl or .json, each optionally with .gz or .zst appended, .xlsx, .ods or .parquet.",
                show_default=False,
            ),
        ],
        *,
        resource: Annotated[
            str,
            typer.Option(
                metavar="|".join(resources),
                help="Resource to import into.",
                show_default=False,
                callback=known_resource,
            ),
        ],
        url: Url = default_url,
        api_key: Key = "",
        body_format: Annotated[
            BodyFormat | None,
            typer.Option("--format", help="Format of the file, if its name does not tell.", show_default=False),
        ] = None,
        delimiter: Annotated[
            str | None,
            typer.Option(help="Delimiter of a CSV file: , ; | or tab.", show_default="comma"),
        ] = None,
        strict: Annotated[
            bool,
            typer.Option("--strict", help="Import nothing if any row is rejected, instead of skipping rejected rows."),
        ] = False,
        name: Annotated[str | None, typer.Option(help="A name for the import.", show_default=False)] = None,
        client_id: Annotated[
            str | None, typer.Option(help="Your own id for the import, unique among your imports.", show_default=False)
        ] = None,
        tag: Annotated[
            list[str] | None, typer.Option(help="A tag to find the import by; repeatable.", show_default=False)
        ] = None,
        mode: Annotated[
            str | None,
            typer.Option(help="insert, upsert, update, skip or delete, if the resource allows it.", show_default=False),
        ] = None,
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Validate everything and change nothing.")] = False,
        mapping: Annotated[
            list[str] | None,
            typer.Option(
                "--map", metavar="HEADER:FIELD", help="Read a column as this field; repeatable.", show_default=False
            ),
        ] = None,
        option: Annotated[
            list[str] | None,
            typer.Option(
                "--option",
                "-o",
                metavar="NAME=VALUE",
                help="Any other option of the server, such as charset=utf-16; repeatable.",
                show_default=False,
            ),
        ] = None,
        errors_to: Annotated[
            Path | None,
            typer.Option(
                help="Write the rejected rows to this file (.csv, .ndjson or .xlsx).",
                show_default=False,
            ),
        ] = None,
        undo_on_error: Annotated[
            bool,
            typer.Option("--undo-on-error", help="Undo the import if any row was rejected; the exit code is then 2."),
        ] = False,
        no_follow: Annotated[
            bool, typer.Option("--no-follow", help="Return once the server has accepted the file.")
        ] = False,
        as_json: AsJson = False,
    ) -> None:
        """Import a file of any size into a running server.

        Shows the progress of the upload and the import, then the counts, the warnings and the first rejected rows.

        Files of 64 MiB or more are uploaded in parts, so that an upload resumes after a broken connection. Ctrl-C stops
        the upload, or asks whether to cancel an import that was accepted.

        Exit codes: 0, all rows were imported; 1, some rows were rejected; 2, the import failed, was undone or could not
        be sent; 130, Ctrl-C.
        """
        from rich.console import Console  # slow to import

        from bulkport.cli.run_import import ImportRequest, run_import

        site.require_key(api_key)
        request = ImportRequest(
            file=file,
            resource=resource,
            site=site,
            url=url,
            api_key=api_key,
            format=body_format,
            delimiter={"tab": "\t", "\\t": "\t"}.get(delimiter or "", delimiter),
            is_strict=strict,
            follows=not no_follow,
            name=name,
            client_id=client_id,
            tags=tag or (),
            options=_options(option or [], mapping or [], mode=mode, is_dry_run=dry_run),
            errors_to=errors_to,
            undoes_on_error=undo_on_error,
            as_json=as_json,
        )
        raise typer.Exit(run_import(request, output=Console(), messages=Console(stderr=True)))


def _options(pairs: Sequence[str], mappings: Sequence[str], *, mode: str | None, is_dry_run: bool) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name:
            raise typer.BadParameter(f"{pair!r} is not NAME=VALUE", param_hint="--option")
        # Some may be given several times: -o map=A:a -o map=B:b.
        options.setdefault(name, []).append(value)
    if mappings:
        options["map"] = [*options.get("map", []), *mappings]
    if mode is not None:
        options["mode"] = mode
    if is_dry_run:
        options["dryRun"] = "true"
    return options
