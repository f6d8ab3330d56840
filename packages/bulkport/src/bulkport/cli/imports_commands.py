"""The `imports` commands, on imports that are on a server, and `export`."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bulkport.cli.exit_codes import ExitCode
from bulkport.cli.wording import harmless, lasting, sized
from bulkport.client import Client, ClientError, Import, ImportProgress
from bulkport.client.answers import ShownStatus

_STATUS_STYLES = {
    ShownStatus.COMPLETED: "green",
    ShownStatus.PARTIAL_SUCCESS: "yellow",
    ShownStatus.FAILED: "red",
    ShownStatus.CANCELLED: "red",
}


def add_imports_commands(  # noqa: PLR0915 # each command is short
    app: typer.Typer, *, api_key_variable: str, default_url: str = "http://127.0.0.1:8000"
) -> None:
    """Add `imports list|show|watch|errors|cancel` and `export` to an application.

    Parameters
    ----------
    api_key_variable:
        Environment variable that holds the API key where `--api-key` is not given.
    """
    Url = Annotated[str, typer.Option(help="Address of the server.")]  # noqa: N806 # types
    Key = Annotated[  # noqa: N806
        str, typer.Option(envvar=api_key_variable, help="API key.", show_default=False, show_envvar=True)
    ]
    Id = Annotated[int, typer.Argument(help="Number of the import.", show_default=False, min=1)]  # noqa: N806
    AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line, for programs.")]  # noqa: N806

    @contextmanager
    def connected(url: str, api_key: str) -> Iterator[Client]:
        from bulkport.cli.run_import import print_failure  # noqa: PLC0415 # slow to import

        messages = Console(stderr=True)
        if not api_key:
            text = f"an API key is needed: --api-key or {api_key_variable}."
            messages.print(Text.assemble(("error: ", "bold red"), text), soft_wrap=True)
            raise typer.Exit(ExitCode.NOT_IMPORTED)
        try:
            with Client(url, api_key=api_key, patience_seconds=5.0) as client:
                yield client
        except ClientError as error:
            print_failure(messages, error, variable=api_key_variable)
            raise typer.Exit(ExitCode.NOT_IMPORTED) from None
        except KeyboardInterrupt:
            raise typer.Exit(ExitCode.INTERRUPTED) from None

    imports = typer.Typer(no_args_is_help=True, help="See and cancel imports on a server.")
    app.add_typer(imports, name="imports")

    @imports.command("list")
    def list_imports(
        *,
        url: Url = default_url,
        api_key: Key = "",
        resource: Annotated[str | None, typer.Option(help="Only of this resource.", show_default=False)] = None,
        status: Annotated[ShownStatus | None, typer.Option(help="Only with this status.", show_default=False)] = None,
        name: Annotated[str | None, typer.Option(help="Only of this name.", show_default=False)] = None,
        limit: Annotated[int, typer.Option(help="How many at the most.", min=1)] = 20,
        as_json: AsJson = False,
    ) -> None:
        """List your imports, newest first."""
        with connected(url, api_key) as client:
            found = islice(client.imports.list(resource=resource, status=status and str(status), name=name), limit)
            shown = [job.progress for job in found if job.progress is not None]
        if as_json:
            _print_json(shown)
        elif shown:
            _output().print(_table(shown))
        else:
            Console().print("No imports.")

    @imports.command("show")
    def show(number: Id, *, url: Url = default_url, api_key: Key = "", as_json: AsJson = False) -> None:
        """Show an import, with its first rejected rows."""
        from bulkport.cli.run_import import report_import  # noqa: PLC0415

        with connected(url, api_key) as client:
            job = client.imports.get(number)
            progress = job.refresh()
            if as_json:
                _print_json([progress])
            else:
                report_import(Console(), client, job, progress)

    @imports.command("watch")
    def watch(
        numbers: Annotated[
            list[int] | None, typer.Argument(help="Numbers of imports; none: all that run.", show_default=False)
        ] = None,
        *,
        url: Url = default_url,
        api_key: Key = "",
        as_json: AsJson = False,
    ) -> None:
        """Watch imports until they have ended. Ctrl-C stops watching; the imports go on."""
        with connected(url, api_key) as client:
            jobs = [client.imports.get(number) for number in numbers or []] or list(_unfinished(client))
            if as_json:
                _watch_as_json(jobs)
            else:
                _watch_live(jobs)

    @imports.command("errors")
    def errors(
        number: Id,
        *,
        url: Url = default_url,
        api_key: Key = "",
        to: Annotated[
            Path | None, typer.Option(help="Write them to a file: CSV, or NDJSON by its name.", show_default=False)
        ] = None,
    ) -> None:
        """Print the rejected rows of an import as NDJSON, or write them to a file."""
        with connected(url, api_key) as client:
            job = client.imports.get(number)
            if to is None:
                for row in job.errors():
                    sys.stdout.write(json.dumps(msgspec.to_builtins(row), ensure_ascii=False) + "\n")
                return
            size = job.save_errors(to)
            Console().print(f"{harmless(str(to))}: {sized(size)}", highlight=False)

    @imports.command("cancel")
    def cancel(number: Id, *, url: Url = default_url, api_key: Key = "") -> None:
        """Cancel an import. Rows already imported are kept."""
        with connected(url, api_key) as client:
            progress = client.imports.get(number).cancel()
        rows = f"{progress.success_count:,} rows were imported before"
        Console().print(f"Import {number} is {str(progress.status).lower()}; {rows}.", highlight=False)

    @app.command("export")
    def export(
        resource: Annotated[str, typer.Argument(help="What to export.", show_default=False)],
        file: Annotated[Path, typer.Argument(help="File to write: .csv or .ndjson.", show_default=False)],
        *,
        url: Url = default_url,
        api_key: Key = "",
        search: Annotated[str | None, typer.Option(help="Only rows with this text.", show_default=False)] = None,
    ) -> None:
        """Write a resource's rows to a file that imports again."""
        with connected(url, api_key) as client:
            size = client.export(resource, file, search=search)
        Console().print(f"{harmless(str(file))}: {sized(size)}", highlight=False)


def _output() -> Console:
    # A pipe has no width that a table would have to fit into.
    return Console(width=None if sys.stdout.isatty() else 200)


def _unfinished(client: Client) -> Iterator[Import]:
    for status in (ShownStatus.PROCESSING, ShownStatus.PENDING):
        yield from client.imports.list(status=str(status))


def _watch_live(jobs: list[Import]) -> None:
    console = _output()
    if not jobs:
        console.print("No imports are running.")
        return
    with Live(_table([job.progress for job in jobs if job.progress]), console=console, refresh_per_second=4) as live:
        _until_settled(jobs, lambda progress: live.update(_table(progress)))


def _watch_as_json(jobs: list[Import]) -> None:
    told: dict[int, ImportProgress] = {}

    def tell(progress: list[ImportProgress]) -> None:
        news = [one for one in progress if told.get(one.id) != one]
        told.update((one.id, one) for one in news)
        _print_json(news)

    _until_settled(jobs, tell)


def _until_settled(jobs: list[Import], tell: Callable[[list[ImportProgress]], None]) -> None:
    while True:
        # The one that is waited for answers when it has ended, or after a second.
        waiting = next((job for job in jobs if job.progress is None or not job.progress.is_settled), None)
        tell([job.progress for job in jobs if job.progress is not None])
        if waiting is None:
            return
        waiting.wait_a_second()
        for job in jobs:
            if job is not waiting and (job.progress is None or not job.progress.is_settled):
                job.refresh()


def _table(shown: list[ImportProgress]) -> Table:
    table = Table(box=None, header_style="bold")
    for heading in ("import", "resource", "status", "rows", "imported", "rejected", "rate", "time", "name"):
        table.add_column(heading, justify="right" if heading in {"import", "rows", "imported", "rejected"} else "left")
    for one in shown:
        table.add_row(
            str(one.id),
            one.resource,
            Text(str(one.status), style=_STATUS_STYLES.get(one.status, "")),
            f"{one.processed_records:,} of {one.total_records:,}" if not one.is_settled else f"{one.total_records:,}",
            f"{one.success_count:,}",
            f"{one.failure_count:,}",
            f"{one.rows_per_second:,.0f} rows/s" if one.rows_per_second else "",
            _time(one),
            harmless(one.name or "", longest=40),
        )
    return table


def _time(one: ImportProgress) -> str:
    if one.started_at is None:
        return ""
    if one.completed_at is not None:
        return lasting((one.completed_at - one.started_at).total_seconds())
    return f"{lasting(one.eta_seconds)} left" if one.eta_seconds else ""


def _print_json(shown: list[ImportProgress]) -> None:
    for one in shown:
        members: dict[str, Any] = msgspec.to_builtins(one)
        sys.stdout.write(json.dumps(members, ensure_ascii=False) + "\n")
