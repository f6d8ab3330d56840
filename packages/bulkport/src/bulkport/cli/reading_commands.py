"""`imports list|show|watch|errors|results`."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live

from bulkport.cli.exit_codes import ExitCode
from bulkport.cli.report import report_import
from bulkport.cli.site import AsJson, JobNumber, Site
from bulkport.cli.tables import errors_table, imports_table, output, print_json, results_table
from bulkport.cli.wording import harmless, sized
from bulkport.client import Client, Import, ImportProgress, ShownStatus

_SHOWN_ROWS = 100
_To = Annotated[
    Path | None,
    typer.Option(help="Write them to this file (.csv, .ndjson or .xlsx).", show_default=False),
]


def add_reading_commands(imports: typer.Typer, site: Site) -> None:
    """Add the commands that change nothing."""
    Url = Annotated[str, site.url_option]  # noqa: N806 # types
    Key = Annotated[str, site.key_option]  # noqa: N806

    @imports.command("list")
    def list_imports(
        *,
        url: Url = site.default_url,
        api_key: Key = "",
        resource: Annotated[str | None, typer.Option(help="Only imports of this resource.", show_default=False)] = None,
        status: Annotated[
            ShownStatus | None, typer.Option(help="Only imports with this status.", show_default=False)
        ] = None,
        name: Annotated[str | None, typer.Option(help="Only imports with this name.", show_default=False)] = None,
        tag: Annotated[str | None, typer.Option(help="Only imports with this tag.", show_default=False)] = None,
        limit: Annotated[int, typer.Option(help="Maximum number of imports.", min=1)] = 20,
        as_json: AsJson = False,
    ) -> None:
        """List your imports, newest first."""
        with site.connected(url, api_key) as client:
            found = client.imports.list(resource=resource, status=status and str(status), name=name, tag=tag)
            shown = [job.progress for job in islice(found, limit) if job.progress is not None]
        if as_json:
            print_json(shown)
        elif shown:
            output().print(imports_table(shown, output().width))
        else:
            Console().print("No imports.")

    @imports.command("show")
    def show(number: JobNumber, *, url: Url = site.default_url, api_key: Key = "", as_json: AsJson = False) -> None:
        """Show an import, with its first rejected rows."""
        with site.connected(url, api_key) as client:
            job = client.imports.get(number)
            progress = job.refresh()
            if as_json:
                print_json([progress])
            else:
                report_import(Console(), client, job, progress)

    @imports.command("watch")
    def watch(
        numbers: Annotated[
            list[int] | None,
            typer.Argument(
                metavar="[IMPORT]...", help="Ids of imports. Default: all running imports.", show_default=False
            ),
        ] = None,
        *,
        url: Url = site.default_url,
        api_key: Key = "",
        as_json: AsJson = False,
    ) -> None:
        """Watch imports until they finish. Ctrl-C stops watching; the imports continue.

        The exit code is that of `import`, for the import that went worst.
        """
        with site.connected(url, api_key, stopped=lambda: "Stopped watching; the imports continue.") as client:
            jobs = [client.imports.get(number) for number in numbers or []] or list(_unfinished(client))
            if as_json:
                _watch_as_json(jobs)
            else:
                _watch_live(jobs)
        raise typer.Exit(max((ExitCode.of(job.progress.status) for job in jobs if job.progress), default=0))

    @imports.command("errors")
    def errors(
        number: JobNumber,
        *,
        url: Url = site.default_url,
        api_key: Key = "",
        to: _To = None,
        as_json: AsJson = False,
    ) -> None:
        """Show the rejected rows of an import, or write them to a file, which you can correct and pass to `retry`."""
        with site.connected(url, api_key) as client:
            job = client.imports.get(number)
            if to is not None:
                _print_written(to, job.save_errors(to), as_json=as_json)
            elif as_json:
                print_json(job.errors(page_size=1000))
            else:
                _print_first(job.errors(), errors_table, "No rejected rows.", "imports errors --to FILE")

    @imports.command("results")
    def results(number: JobNumber, *, url: Url = site.default_url, api_key: Key = "", as_json: AsJson = False) -> None:
        """Show the outcome of each row of an import that was sent with `-o results=ids`."""
        with site.connected(url, api_key) as client:
            job = client.imports.get(number)
            if as_json:
                print_json(job.results())
            else:
                _print_first(job.results(), results_table, "No results stored.", "imports results --json")


def _print_first(rows: Iterator[Any], table: Callable[[list[Any]], Any], nothing: str, where: str) -> None:
    shown = list(islice(rows, _SHOWN_ROWS))
    if not shown:
        Console().print(nothing)
        return
    output().print(table(shown))
    if next(rows, None) is not None:
        Console().print(f"Showing the first {_SHOWN_ROWS}; for all rows: {where}", highlight=False, soft_wrap=True)


def _print_written(path: Path, size: int, *, as_json: bool) -> None:
    if as_json:
        print_json([{"file": str(path), "bytes": size}])
    else:
        Console().print(f"{harmless(str(path))}: {sized(size)}", highlight=False)


def _unfinished(client: Client) -> Iterator[Import]:
    for status in (ShownStatus.PROCESSING, ShownStatus.PENDING):
        yield from client.imports.list(status=str(status))


def _watch_live(jobs: list[Import]) -> None:
    console = output()
    if not jobs:
        console.print("No imports are running.")
        return
    shown = [job.progress for job in jobs if job.progress]
    with Live(imports_table(shown, console.width), console=console, refresh_per_second=4) as live:
        _until_settled(jobs, lambda progress: live.update(imports_table(progress, console.width)))
    if not console.is_terminal:  # where Rich leaves the last line open
        console.print()


def _watch_as_json(jobs: list[Import]) -> None:
    shown: dict[int, ImportProgress] = {}

    def tell(progress: list[ImportProgress]) -> None:
        news = [one for one in progress if shown.get(one.id) != one]
        shown.update((one.id, one) for one in news)
        print_json(news)

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
