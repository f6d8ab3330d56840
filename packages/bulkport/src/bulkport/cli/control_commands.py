"""`imports cancel|undo|retry`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from bulkport.cli.exit_codes import ExitCode
from bulkport.cli.failures import print_failure
from bulkport.cli.progress_display import progress_display
from bulkport.cli.report import report_import
from bulkport.cli.site import AsJson, JobNumber, Site
from bulkport.cli.tables import print_json
from bulkport.cli.wording import counted, harmless
from bulkport.client import ClientError, Import, ImportProgress
from bulkport.client.growing_file import require_writable
from bulkport.imports.body_format import BodyFormat


def add_control_commands(imports: typer.Typer, site: Site) -> None:
    """Add the commands that change the course of imports."""
    Url = Annotated[str, site.url_option]  # noqa: N806 # types
    Key = Annotated[str, site.key_option]  # noqa: N806

    @imports.command("cancel")
    def cancel(
        number: JobNumber,
        *,
        url: Url = site.default_url,
        api_key: Key = "",
        rollback: Annotated[
            bool, typer.Option("--rollback", help="Also remove the rows imported so far; by default they are kept.")
        ] = False,
        as_json: AsJson = False,
    ) -> None:
        """Cancel an unfinished import."""
        with site.connected(url, api_key, stopped=lambda: _unknown(number)) as client:
            progress = client.imports.get(number).cancel(rollback=rollback)
        if as_json:
            print_json([progress])
        else:
            Console().print(cancelled(progress, rollback=rollback), highlight=False, soft_wrap=True)

    @imports.command("undo")
    def undo(number: JobNumber, *, url: Url = site.default_url, api_key: Key = "", as_json: AsJson = False) -> None:
        """Undo a finished import: remove the rows that it created and that were not changed since."""
        with site.connected(url, api_key, stopped=lambda: _unknown(number)) as client:
            progress = client.imports.get(number).undo()
        if as_json:
            print_json([progress])
        else:
            Console().print(undone(progress), highlight=False, soft_wrap=True)

    @imports.command("retry")
    def retry(
        number: JobNumber,
        file: Annotated[
            Path | None,
            typer.Argument(
                metavar="[FILE]",
                help="The corrected error report, or other rows to send instead. Default: the rejected rows.",
                show_default=False,
            ),
        ] = None,
        *,
        url: Url = site.default_url,
        api_key: Key = "",
        body_format: Annotated[
            BodyFormat | None,
            typer.Option("--format", help="Format of the file, if its name does not tell.", show_default=False),
        ] = None,
        errors_to: Annotated[
            Path | None,
            typer.Option(
                help="Write rows that are rejected again to this file (.csv, .ndjson or .xlsx).",
                show_default=False,
            ),
        ] = None,
        no_follow: Annotated[
            bool, typer.Option("--no-follow", help="Return once the server has accepted the rows.")
        ] = False,
        as_json: AsJson = False,
    ) -> None:
        """Send the rejected rows of an import again, as a new import that continues it. Exit codes as for `import`."""
        job: Import | None = None
        with site.connected(url, api_key, stopped=lambda: _unknown(number) if job is None else going_on(job)) as client:
            if errors_to is not None:
                require_writable(errors_to)
            job = client.imports.get(number).retry(file, format=body_format)
            progress = job.refresh() if no_follow else follow(job, job.total_records or 0)
            if as_json:
                print_json([progress])
            elif no_follow:
                Console().print(f"Import {job.id} is queued.", highlight=False)
            else:
                report_import(Console(), client, job, progress)
            save_rejected(job, progress, errors_to, silent=as_json)
        raise typer.Exit(ExitCode.ALL_IMPORTED if no_follow else ExitCode.of(progress.status))


def going_on(job: Import) -> str:
    """The message after following an import was interrupted."""
    return f"Import {job.id} continues. To watch it: imports watch {job.id}. To cancel it: imports cancel {job.id}."


def _unknown(number: int) -> str:
    return f"Stopped. The server may have received it already; imports show {number} tells."


def follow(job: Import, rows: int) -> ImportProgress:
    """Show the processing of an import on standard error until it has ended."""
    with progress_display(Console(stderr=True), f"import {job.id}", None) as display:
        display.show_accepted(rows)
        for progress in job.follow():
            display.show_progress(progress)
    return progress


def save_rejected(job: Import, progress: ImportProgress, to: Path | None, *, silent: bool) -> None:
    """Write the rejected rows to a file if there are some, and somewhere to write them."""
    if to is None or not progress.failure_count:
        return
    job.save_errors(to)
    if not silent:
        Console().print(Text(f"The rejected rows are in {to}."), soft_wrap=True)


def undo_failed(job: Import, messages: Console, *, variable: str) -> ImportProgress | None:
    """Undo an import with failed rows; None if the undo fails too, which is printed."""
    try:
        return job.undo()
    except ClientError as error:
        messages.print(Text(f"Import {job.id} could not be undone; its imported rows are kept."), soft_wrap=True)
        print_failure(messages, error, variable=variable)
        return None


def cancelled(progress: ImportProgress, *, rollback: bool) -> str:
    """How a cancelled import ended."""
    outcome = f"Import {progress.id} is {str(progress.status).lower()}"
    if not progress.is_settled:
        outcome = f"Import {progress.id} stops once the chunks being written are finished"
    if rollback:
        undo = progress.undone
        if undo is not None:
            restored = f", {counted(undo.restored, 'row')} restored" if undo.restored else ""
            return f"{outcome}; {counted(undo.removed, 'row')} removed{restored}."
        if not progress.is_settled:
            return f"{outcome}; its rows are removed afterwards."
    return f"{outcome}; {progress.success_count:,} rows were imported before."


def undone(progress: ImportProgress) -> str:
    """What an undo did."""
    undo = progress.undone
    if undo is None:
        return f"Import {progress.id} is being undone."
    parts = [f"{counted(undo.removed, 'row')} removed"]
    if undo.restored:
        parts.append(f"{counted(undo.restored, 'row')} restored")
    if undo.kept:
        parts.append(f"{counted(undo.kept, 'row')} kept: changed or deleted since, or referred to by other rows")
    if undo.not_restored:
        parts.append(f"{counted(undo.not_restored, 'updated or deleted row')} not restored")
    parts += [f"{counted(kept.rows, 'row')}: {kept.reason}" for kept in undo.reasons]
    return harmless(f"Import {progress.id} is undone: {'; '.join(parts)}.")
