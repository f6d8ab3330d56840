"""The synchronous client."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import httpx

from bulkport.client import operations
from bulkport.client.answers import BadRow, ImportProgress, RowResult, decode
from bulkport.client.bodies import BodyKind, Source
from bulkport.client.errors import SourceUnusable, UnexpectedAnswer
from bulkport.client.operations import Call, Operation, Wishes
from bulkport.client.records import AsyncRecordSource, Data, source_of
from bulkport.client.sending import TIMEOUT, Attempts, OnSent, checked_url, headers_with, is_on_this_machine
from bulkport.imports.formats.media_type import BodyFormat
from bulkport.imports.formats.prefer_header import Handling

T = TypeVar("T")


class Client:
    """Talks to one server with one API key. A context manager; not for use by several threads at once.

    Parameters
    ----------
    url:
        Address of the server, such as `http://127.0.0.1:8000`.
    patience_seconds:
        How long a server that cannot be reached, or is too busy, is asked again.
    transport, sleep:
        For tests: another way to the server, and another way to wait.

    Raises
    ------
    ClientError
        The address or the key cannot be one.

    Examples
    --------
    ::

        with Client("http://127.0.0.1:8000", api_key=key) as client:
            job = client.imports.create("platforms", "platforms.csv", name="July")
            if job.wait().failure_count:
                job.save_errors("rejected.csv")
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str,
        patience_seconds: float = 30.0,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = checked_url(url)
        self._patience_seconds = patience_seconds
        self._sleep = sleep
        self._http = httpx.Client(
            base_url=self.url,
            headers=headers_with(api_key),
            timeout=TIMEOUT,
            transport=transport,
            trust_env=not is_on_this_machine(self.url),
        )
        self.imports = Imports(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def check_access(self) -> None:
        """Ask the server whether it is there and knows the key; worth it before sending gigabytes.

        Raises
        ------
        ServerUnreachable
            It does not answer.
        RequestRefused
            It does not accept the key.
        """
        self.run(operations.check_access())

    def export(
        self,
        resource: str,
        path: str | Path,
        *,
        format: str | None = None,  # noqa: A002 # the field's name
        search: str | None = None,
    ) -> int:
        """Write a resource's rows to a file. Returns its size in bytes.

        Parameters
        ----------
        format:
            `csv` or `ndjson`; by default what the file's name says.

        Raises
        ------
        RequestRefused
            The server does not know the resource or the format.
        """
        chosen = format or Path(path).suffix.lstrip(".").lower() or "csv"
        return self._save(operations.export_call(resource, chosen, search), Path(path))

    def run(self, operation: Operation[T], on_sent: OnSent | None = None) -> T:
        """Carry an operation out."""
        try:
            call = next(operation)
            while True:
                call = operation.send(self._send(call, on_sent))
        except StopIteration as done:
            result: T = done.value
            return result

    def _send(self, call: Call, on_sent: OnSent | None) -> httpx.Response:
        attempts = Attempts(call, self.url, self._patience_seconds)
        while True:
            try:
                response = self._http.request(
                    call.method,
                    call.path,
                    params=dict(call.params),
                    headers=dict(call.headers),
                    content=call.content if call.source is None else _counted(attempts, on_sent),
                )
            except httpx.TransportError as error:
                self._sleep(attempts.pause_after_error(error))
                continue
            pause = attempts.pause_after_answer(response)
            if pause is None:
                return response
            self._sleep(pause)

    @contextmanager
    def _stream(self, call: Call) -> Iterator[httpx.Response]:
        with self._http.stream(call.method, call.path, params=dict(call.params), headers=dict(call.headers)) as answer:
            if not answer.is_success:
                answer.read()
                decode(answer, ImportProgress)
            yield answer

    def _save(self, call: Call, path: Path) -> int:
        """Write a streamed answer to a file, which appears when it is complete."""
        partial = path.with_name(path.name + ".part")
        try:
            with self._stream(call) as answer, partial.open("wb") as file:
                for block in answer.iter_bytes():
                    file.write(block)
                size = file.tell()
            partial.replace(path)
        except httpx.TransportError as error:
            raise UnexpectedAnswer(f"The connection was lost while {path} was being written: {error}") from error
        finally:
            partial.unlink(missing_ok=True)
        return size


def _counted(attempts: Attempts, on_sent: OnSent | None) -> Iterator[bytes]:
    source = attempts.call.source
    if source is None or isinstance(source, AsyncRecordSource):
        raise SourceUnusable("An asynchronous iterable needs AsyncClient.")
    attempts.sent, attempts.is_read = 0, False
    if on_sent is not None:
        on_sent(0)
    for block in source.blocks():
        attempts.sent += len(block)
        yield block
        if on_sent is not None:
            on_sent(attempts.sent)
    attempts.is_read = True


class Imports:
    """The imports of the key's user."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def create(
        self,
        resource: str,
        data: Data,
        *,
        format: BodyFormat | str | None = None,  # noqa: A002 # the field's name
        delimiter: str | None = None,
        handling: Handling | str | None = None,
        name: str | None = None,
        client_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        compress: bool = True,
        on_sent: OnSent | None = None,
        **options: Any,
    ) -> "Import":
        """Send records; they are stored and queued when this returns.

        Parameters
        ----------
        data:
            The path of a file, a binary file, bytes, records or a data frame; see `Data`.
        format:
            `csv`, `ndjson` or `json`, where the name of the file does not say it.
        handling:
            `strict` or `lenient`; None: the server's default.
        idempotency_key:
            Makes it safe to call this again with the same data, also in another process; by default each call has a
            key of its own, which makes its own retries safe.
        compress:
            Send records with gzip.
        options:
            The server's further options by their names in Python: `mode="upsert"`, `dry_run=True`, `charset="utf-16"`.

        Raises
        ------
        RequestRefused
            The server refused the body; nothing of it was kept.
        ServerUnreachable, UploadLost
            The server does not answer, or the connection broke for longer than `patience_seconds`.
        SourceUnusable
            The data cannot be read or sent.
        """
        source, kind = source_of(
            data, format=None if format is None else BodyFormat(format), delimiter=delimiter, compresses=compress
        )
        return self.send(
            resource,
            source,
            kind,
            on_sent=on_sent,
            handling=handling,
            name=name,
            client_id=client_id,
            metadata=metadata,
            idempotency_key=idempotency_key,
            options=options,
        )

    def send(
        self,
        resource: str,
        source: Source | AsyncRecordSource,
        kind: BodyKind,
        *,
        on_sent: OnSent | None = None,
        **wishes: Unpack[Wishes],
    ) -> "Import":
        """As `create`, for a body whose source and kind are known."""
        accepted = self._client.run(operations.create(resource, source, kind, **wishes), on_sent)
        return Import(self._client, accepted.id, accepted.total_records)

    def get(self, import_id: int) -> "Import":
        """One import; raises RequestRefused when there is none, or it is another user's."""
        job = Import(self._client, import_id)
        job.refresh()
        return job

    def find(self, client_id: str) -> "Import | None":
        """The import that was given this `client_id`."""
        return next(iter(self.list(client_id=client_id)), None)

    def list(self, **filters: Any) -> Iterator["Import"]:
        """Imports, newest first; filters are `resource`, `status`, `name`, `client_id` and `metadata`."""
        cursor: str | None = None
        while True:
            page = self._client.run(operations.list_page(filters, cursor, 100))
            for progress in page.items:
                yield Import(self._client, progress.id, progress.total_records, progress)
            cursor = page.next_cursor
            if cursor is None:
                return


class Import:
    """One import on the server."""

    def __init__(
        self, client: Client, id_: int, total_records: int | None = None, progress: ImportProgress | None = None
    ) -> None:
        self._client = client
        self.id = id_
        self.total_records = total_records
        self.progress = progress
        """Where it stood when the server was last asked."""

    def __repr__(self) -> str:
        return f"<Import {self.id} {'' if self.progress is None else self.progress.status}>"

    def refresh(self) -> ImportProgress:
        """Where it stands now."""
        self.progress = self._client.run(operations.get(self.id))
        return self.progress

    def follow(self) -> Iterator[ImportProgress]:
        """Where it stands, again and again until it has ended; the last one is final."""
        pause = 0.05
        while True:
            progress = self.refresh()
            yield progress
            if progress.is_settled:
                return
            self._client._sleep(pause)  # noqa: SLF001 # the client's own
            pause = min(pause * 1.5, 1.0)

    def wait(self, *, timeout: float | None = None, progress: bool = False) -> ImportProgress:
        """Where it stands when it has ended.

        Parameters
        ----------
        timeout:
            Seconds after which a TimeoutError is raised; None: as long as it takes.
        progress:
            Show a line with the rows done so far on standard error.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            # The server holds its answer back until the import has ended: no poll is in vain.
            seconds = 1 if progress else 20 if deadline is None else max(1, min(20, round(deadline - time.monotonic())))
            self.progress = self._client.run(operations.get(self.id, wait_seconds=seconds))
            if progress:
                _show(self.progress)
            if self.progress.is_settled:
                return self.progress
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError(f"import {self.id} has not ended after {timeout:g} s")

    def wait_a_second(self) -> ImportProgress:
        """Where it stands when it has ended, or in a second."""
        self.progress = self._client.run(operations.get(self.id, wait_seconds=1))
        return self.progress

    def errors(self, *, page_size: int = 100) -> Iterator[BadRow]:
        """Every row that was not imported, in row order; pages are asked for as they are needed."""
        cursor: str | None = None
        while True:
            page = self._client.run(operations.errors_page(self.id, cursor, page_size))
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def save_errors(self, path: str | Path) -> int:
        """Write the rows that were not imported to a file: CSV, or NDJSON by its name. Returns its size in bytes."""
        is_ndjson = Path(path).suffix.lower() in {".ndjson", ".jsonl"}
        call = operations.errors_call(self.id, "application/x-ndjson" if is_ndjson else "text/csv")
        return self._client._save(call, Path(path))  # noqa: SLF001 # the client's own

    def results(self, *, page_size: int = 1000) -> Iterator[RowResult]:
        """What became of each row, in row order, for an import that was sent with `results="ids"`."""
        cursor: str | None = None
        while True:
            page = self._client.run(operations.results_page(self.id, cursor, page_size))
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def mend(self, row: int, record: Mapping[str, Any]) -> None:
        """Replace a rejected row by a mended record, which `retry` sends."""
        self._client.run(operations.mend(self.id, row, record))

    def retry(self, mended: Data | None = None, *, format: BodyFormat | str | None = None) -> "Import":  # noqa: A002
        """Send the rejected rows again, as an import that continues this one.

        Parameters
        ----------
        mended:
            The mended error report, or other rows, as for `create`; None: the rows as they were, or as `mend` left
            them.
        """
        source, kind = None, None
        if mended is not None:
            source, kind = source_of(mended, format=None if format is None else BodyFormat(format))
        accepted = self._client.run(operations.retry(self.id, source, kind))
        return Import(self._client, accepted.id, accepted.total_records)

    def cancel(self) -> ImportProgress:
        """Cancel it; rows that are stored already are kept. Raises RequestRefused when it has ended already."""
        self.progress = self._client.run(operations.cancel(self.id))
        return self.progress


def _show(progress: ImportProgress) -> None:
    end = "\n" if progress.is_settled else "\r"
    line = f"import {progress.id}: {progress.status}, {progress.processed_records:,} of {progress.total_records:,} rows"
    print(line.ljust(79), end=end, file=sys.stderr, flush=True)  # noqa: T201 # what was asked for
