"""Runs one import from the command line: sends it, follows it and reports the result."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.prompt import Prompt
from rich.text import Text

from bulkport.cli.control_commands import cancelled, going_on, save_rejected, undo_failed, undone
from bulkport.cli.exit_codes import ExitCode
from bulkport.cli.failures import print_failure
from bulkport.cli.progress_display import ProgressDisplay, progress_display
from bulkport.cli.report import report_import
from bulkport.cli.site import Site
from bulkport.cli.tables import print_json
from bulkport.cli.wording import harmless
from bulkport.client import (
    BodyKind,
    Client,
    ClientError,
    FileSource,
    Import,
    ImportProgress,
    Source,
    SourceUnusable,
    StreamSource,
)
from bulkport.client.growing_file import require_writable
from bulkport.imports.body_format import BodyFormat
from bulkport.imports.formats.prefer_header import Handling


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """The user's choices."""

    file: str
    """Path of the file; `-`: standard input."""
    resource: str
    site: Site
    url: str
    api_key: str
    format: BodyFormat | None = None
    delimiter: str | None = None
    is_strict: bool = False
    follows: bool = True
    name: str | None = None
    client_id: str | None = None
    tags: Sequence[str] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    """Further options of the server, by their names on the wire."""
    errors_to: Path | None = None
    """Where the rows that were not imported go."""
    undoes_on_error: bool = False
    """Whether the import is undone where any row failed."""
    as_json: bool = False
    """Whether the report is a line of JSON."""


def run_import(request: ImportRequest, *, output: Console, messages: Console) -> ExitCode:
    """Import a file.

    Parameters
    ----------
    output:
        Gets the report: standard output.
    messages:
        Gets progress and what went wrong: standard error.
    """
    run = _Run(request, output, messages)
    try:
        source = _source_of(request.file)
        kind = _kind_of(request)
        if request.errors_to is not None:
            require_writable(request.errors_to)
        with request.site.client(request.url, request.api_key) as client:
            client.check_access()
            try:
                return run.finish(client, source, kind)
            except KeyboardInterrupt:
                # While the client is open: one may want to cancel.
                return run.interrupted()
    except ClientError as error:
        print_failure(messages, error, variable=request.site.api_key_variable, resource=request.resource)
        if run.accepted is not None:
            messages.print(Text(f"It was already accepted. {going_on(run.accepted)}"), soft_wrap=True)
        return ExitCode.NOT_IMPORTED
    except KeyboardInterrupt:
        messages.print(Text("Stopped. Nothing was imported."), soft_wrap=True)
        return ExitCode.INTERRUPTED


class _Run:
    """One import from its file to its report."""

    def __init__(self, request: ImportRequest, output: Console, messages: Console) -> None:
        self._request = request
        self._output = output
        self._messages = messages
        self._sending: _Sending | None = None
        self.accepted: Import | None = None

    def finish(self, client: Client, source: Source, kind: BodyKind) -> ExitCode:
        """Send the file, follow the import, and say how it ended."""
        request = self._request
        with progress_display(self._messages, _name_of(request.file), source.size) as display:
            self._sending = _Sending(source, display)
            self.accepted = job = client.imports.send(
                request.resource,
                source,
                kind,
                on_sent=self._sending.note,
                handling=Handling.STRICT if request.is_strict else None,
                name=request.name,
                client_id=request.client_id,
                tags=request.tags,
                options=request.options,
            )
            display.show_accepted(job.total_records or 0)
            progress = _followed(job, display) if request.follows else None
        if progress is None:
            _print_accepted(self._output, client, job, as_json=request.as_json)
            return ExitCode.ALL_IMPORTED
        return _reported(request, client, job, progress, output=self._output, messages=self._messages)

    def interrupted(self) -> ExitCode:
        """Print what happens to the import after Ctrl-C."""
        if self.accepted is not None:
            what = _cancelled_or_not(self.accepted, self._messages)
        elif self._sending is not None and self._sending.may_be_complete:
            what = "The server had not answered yet; it may have accepted the import: imports list shows it."
        else:
            what = "Nothing was imported."
        self._messages.print(Text(f"Stopped. {what}"), soft_wrap=True)
        return ExitCode.INTERRUPTED


class _Sending:
    """How much of a source has been sent, in case of an interruption."""

    def __init__(self, source: Source, display: ProgressDisplay) -> None:
        self._source = source
        self._display = display
        self._sent = 0

    def note(self, sent: int) -> None:
        """So many bytes are sent."""
        self._sent = sent
        self._display.show_sent(sent)

    @property
    def may_be_complete(self) -> bool:
        """Whether the server may have the whole body; always possible for a stream."""
        return self._sent > 0 if self._source.size is None else self._sent == self._source.size


def _kind_of(request: ImportRequest) -> BodyKind:
    kind = BodyKind.of_name("" if request.file == "-" else request.file, format=request.format)
    if kind is None:
        raise SourceUnusable(
            "Pass the format of standard input: --format ndjson, csv or json."
            if request.file == "-"
            else f"The name {request.file} has no known extension; pass --format ndjson, csv or json."
        )
    if request.delimiter is None:
        return kind
    return BodyKind(kind.format, kind.encoding, request.delimiter)


def _source_of(file: str) -> Source:
    if file == "-":
        return StreamSource(sys.stdin.buffer, "standard input")
    path = Path(file)
    if path.exists() and not path.is_dir() and not path.is_file():
        # A named pipe, as the shell's <(…) makes: to be opened once.
        return StreamSource(path.open("rb"), file)
    return FileSource(path)


def _name_of(file: str) -> str:
    return "standard input" if file == "-" else harmless(Path(file).name, longest=40)


def _followed(job: Import, display: ProgressDisplay) -> ImportProgress | None:
    progress = None
    for progress in job.follow():
        display.show_progress(progress)
    return progress


def _cancelled_or_not(job: Import, messages: Console) -> str:
    """Ask whether to cancel, if the terminal is interactive."""
    goes_on = going_on(job)
    if not (sys.stdin.isatty() and messages.is_terminal):
        return goes_on
    try:
        answer = Prompt.ask(
            f"Import {job.id} is running. Cancel it, cancel it and remove its rows, or let it continue?",
            console=messages,
            choices=["cancel", "remove", "continue"],
            default="continue",
        )
        if answer == "continue":
            return goes_on
        rollback = answer == "remove"
        progress = job.cancel(rollback=rollback)
    except (KeyboardInterrupt, EOFError):
        return goes_on
    except ClientError as error:
        return f"Import {job.id} was not cancelled: {harmless(error.detail)}"
    return cancelled(progress, rollback=rollback)


def _reported(
    request: ImportRequest,
    client: Client,
    job: Import,
    progress: ImportProgress,
    *,
    output: Console,
    messages: Console,
) -> ExitCode:
    """Say how the import ended, keep its rejected rows, undo it where that is wished."""
    if not request.as_json:
        report_import(output, client, job, progress)
    save_rejected(job, progress, request.errors_to, silent=request.as_json)
    code = ExitCode.of(progress.status)
    if request.undoes_on_error and code is not ExitCode.ALL_IMPORTED and progress.success_count:
        code = ExitCode.NOT_IMPORTED
        undo = undo_failed(job, messages, variable=request.site.api_key_variable)
        progress = undo or progress
        if undo is not None and not request.as_json:
            output.print(Text(undone(undo)), soft_wrap=True)
    if request.as_json:
        print_json([progress])
    return code


def _print_accepted(output: Console, client: Client, accepted: Import, *, as_json: bool) -> None:
    if as_json:
        print_json([accepted.refresh()])
        return
    where = f"{client.url}{client.prefix}/imports/{accepted.id}"
    output.print(Text(f"Import {accepted.id} is queued; follow it at {where}"), soft_wrap=True)
