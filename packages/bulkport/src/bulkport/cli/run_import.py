"""Run one import from the command line: send it, follow it, say how it went."""

import itertools
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.prompt import Confirm
from rich.text import Text

from bulkport.cli.exit_codes import ExitCode
from bulkport.cli.progress_display import ProgressDisplay, progress_display
from bulkport.cli.report import print_report
from bulkport.cli.wording import harmless
from bulkport.client import (
    BodyKind,
    Client,
    ClientError,
    FileSource,
    Import,
    ImportProgress,
    RequestRefused,
    Source,
    SourceUnusable,
    StreamSource,
)
from bulkport.imports.formats.media_type import BodyFormat
from bulkport.imports.formats.prefer_header import Handling

_PATIENCE_SECONDS: Final = 5.0
_SHOWN_BAD_ROWS: Final = 10
_SHOWN_MESSAGES: Final = 20

# What to do about it, where the server's own words do not say.
_ADVICE: Final = {
    401: "The server does not know this API key. Give one with --api-key or {variable}.",
    403: "This API key may not do that.",
    404: "This is not the address of a server that imports {resource}; see --url and --resource.",
    413: "The server accepts no body, or no row, of this size.",
}


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What the user asked for."""

    file: str
    """Path of the file; `-`: standard input."""
    resource: str
    url: str
    api_key: str
    api_key_variable: str
    """Environment variable that may hold the key; for messages."""
    format: BodyFormat | None = None
    delimiter: str | None = None
    is_strict: bool = False
    follows: bool = True
    name: str | None = None
    client_id: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    """Further options of the server, by their names on the wire."""
    errors_to: Path | None = None
    """Where the rows that were not imported go."""


def run_import(request: ImportRequest, *, output: Console, messages: Console) -> ExitCode:
    """Import a file.

    Parameters
    ----------
    output:
        Gets the report: standard output.
    messages:
        Gets progress and what went wrong: standard error.
    """
    accepted: Import | None = None
    sending: _Sending | None = None
    try:
        source = _source_of(request.file)
        kind = _kind_of(request)
        with Client(request.url, api_key=request.api_key, patience_seconds=_PATIENCE_SECONDS) as client:
            client.check_access()
            with progress_display(messages, _name_of(request.file), source.size) as display:
                sending = _Sending(source, display)
                accepted = client.imports.send(
                    request.resource,
                    source,
                    kind,
                    on_sent=sending.note,
                    handling=Handling.STRICT if request.is_strict else None,
                    name=request.name,
                    client_id=request.client_id,
                    options=request.options,
                )
                display.show_accepted(accepted.total_records or 0)
                progress = _followed(accepted, display) if request.follows else None
            if progress is None:
                _print_accepted(output, client, accepted)
                return ExitCode.ALL_IMPORTED
            report_import(output, client, accepted, progress)
            if request.errors_to is not None and progress.failure_count:
                accepted.save_errors(request.errors_to)
                output.print(Text(f"The rejected rows are in {request.errors_to}."), soft_wrap=True)
            return ExitCode.of(progress.status)
    except ClientError as error:
        print_failure(messages, error, variable=request.api_key_variable, resource=request.resource)
        if accepted is not None:
            messages.print(Text(f"Import {accepted.id} was accepted before and goes on."), soft_wrap=True)
        return ExitCode.NOT_IMPORTED
    except KeyboardInterrupt:
        if accepted is not None:
            what = _cancelled_or_not(accepted, messages)
        elif sending is not None and sending.may_be_complete:
            what = "The server had not answered yet; it may have accepted the import."
        else:
            what = "Nothing was imported."
        messages.print(Text(f"Stopped. {what}"), soft_wrap=True)
        return ExitCode.INTERRUPTED


class _Sending:
    """How much of a source has gone out, for one who interrupts it."""

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
        """Whether the server may have the whole body; of a stream nobody knows where it ends."""
        return self._sent > 0 if self._source.size is None else self._sent == self._source.size


def _kind_of(request: ImportRequest) -> BodyKind:
    kind = BodyKind.of_name("" if request.file == "-" else request.file, format=request.format)
    if kind is None:
        raise SourceUnusable(
            "The format of standard input must be said: --format ndjson, csv or json."
            if request.file == "-"
            else f"The name {request.file} does not say its format; add --format ndjson, csv or json."
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
    """Ask whether to cancel, where somebody is there to answer."""
    goes_on = f"Import {job.id} goes on."
    if not (sys.stdin.isatty() and messages.is_terminal):
        return goes_on
    try:
        if not Confirm.ask(f"Cancel import {job.id}? Rows already imported are kept", console=messages, default=False):
            return goes_on
        cancelled = job.cancel()
    except (KeyboardInterrupt, EOFError):
        return goes_on
    except ClientError as error:
        return f"Import {job.id} was not cancelled: {harmless(error.detail)}"
    return f"Import {job.id} is cancelled; {cancelled.success_count:,} rows were imported before."


def _print_accepted(output: Console, client: Client, accepted: Import) -> None:
    output.print(
        Text(f"Import {accepted.id} is queued; follow it at {client.url}/api/imports/{accepted.id}"), soft_wrap=True
    )


def report_import(output: Console, client: Client, job: Import, progress: ImportProgress) -> None:
    """Print how an import stands or ended, with its first bad rows."""
    bad_rows = (
        list(itertools.islice(job.errors(page_size=_SHOWN_BAD_ROWS), _SHOWN_BAD_ROWS)) if progress.failure_count else []
    )
    print_report(output, progress, bad_rows, report_url=f"{client.url}/api/imports/{progress.id}/errors")


def print_failure(messages: Console, error: ClientError, *, variable: str, resource: str = "this") -> None:
    """Print what went wrong, and what to do about it where that is known."""
    lines = [harmless(error.detail, longest=1000)]
    if isinstance(error, RequestRefused):
        lines[0] = f"{error.http_status} {harmless(error.refusal)}: {lines[0]}"
        told = [(path, message) for path, listed in error.errors.items() for message in listed]
        lines += [f"  {harmless(path)}: {harmless(message)}" for path, message in told[:_SHOWN_MESSAGES]]
        if len(told) > _SHOWN_MESSAGES:
            lines.append(f"  and {len(told) - _SHOWN_MESSAGES:,} more")
        if advice := _ADVICE.get(error.http_status):
            lines.append(advice.format(variable=variable, resource=resource))
        if error.http_status >= 500 and error.trace_id:  # server errors
            lines.append(f"The server's log has more under trace id {harmless(error.trace_id)}.")
    messages.print(Text.assemble(("error: ", "bold red"), "\n".join(lines)), soft_wrap=True)
