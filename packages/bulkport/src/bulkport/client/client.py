"""The synchronous client."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import msgspec

from bulkport.client import operations
from bulkport.client.errors import ClientError, SourceUnusable, UnexpectedAnswer
from bulkport.client.growing_file import growing_file
from bulkport.client.imports import Imports
from bulkport.client.operations import Call, Operation
from bulkport.client.records import AsyncRecordSource
from bulkport.client.responses import checked
from bulkport.client.sending import (
    RESUMABLE_BYTES,
    TIMEOUT,
    Attempts,
    OnSent,
    checked_prefix,
    checked_url,
    headers_with,
    is_on_this_machine,
)

T = TypeVar("T")


class Client:
    """A client of one server with one API key. A context manager; do not share it between threads.

    Parameters
    ----------
    url:
        Address of the server, such as `http://127.0.0.1:8000`.
    api_key:
        Sent as `x-api-key`; None: `headers` say who asks.
    prefix:
        Path below which the application has its routes.
    headers:
        Further headers of every request, such as `{"Authorization": "Bearer …"}`.
    patience_seconds:
        How long a server that cannot be reached, or is too busy, is asked again.
    resumable_bytes:
        Size from which on a file is uploaded in parts (tus), which a broken connection does not undo; None: never.
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
        api_key: str | None = None,
        prefix: str = "/api",
        headers: Mapping[str, str] | None = None,
        patience_seconds: float = 30.0,
        resumable_bytes: int | None = RESUMABLE_BYTES,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = checked_url(url)
        self.prefix = checked_prefix(prefix)
        self.resumable_bytes = resumable_bytes
        self.pause = sleep
        self._patience_seconds = patience_seconds
        self._http = httpx.Client(
            base_url=self.url,
            headers=headers_with(api_key, headers),
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
        """Check that the server is reachable and accepts the key; useful before sending gigabytes.

        Raises
        ------
        ServerUnreachable
            It does not answer.
        RequestRefused
            It does not accept the key.
        """
        self.run(operations.check_access())

    def schema(self, resource: str) -> dict[str, Any]:
        """JSON Schema of a resource's records; `x-bulkport` has formats, modes and limits."""
        return self.run(operations.schema(resource))

    def save_template(self, resource: str, path: str | Path) -> int:
        """Write a file to fill in, with the header and examples: CSV, or a workbook by its name (`.xlsx`)."""
        suffix = "xlsx" if Path(path).suffix.lower() == ".xlsx" else "csv"
        return self.save(operations.template_call(resource, suffix), path)

    def export(
        self,
        resource: str,
        path: str | Path,
        *,
        format: str | None = None,  # noqa: A002 # the field's name
        search: str | None = None,
        null_word: str | None = None,
    ) -> int:
        """Write a resource's rows to a file, which appears when it is complete. Returns its size in bytes.

        Parameters
        ----------
        format:
            `csv`, `ndjson`, `xlsx` or `parquet`; by default what the file's name says.
        search:
            Only rows with this text.
        null_word:
            The text for null in CSV and workbooks, to distinguish it from empty text.

        Raises
        ------
        RequestRefused
            The server does not know the resource or the format.
        """
        chosen = format or Path(path).suffix.lstrip(".").lower() or "csv"
        return self.save(operations.export_call(resource, chosen, search, null_word), path)

    def export_blocks(
        self,
        resource: str,
        format: str,  # noqa: A002 # the field's name
        *,
        search: str | None = None,
        null_word: str | None = None,
    ) -> Iterator[bytes]:
        """The bytes of an export as they come; see `export`."""
        with self.stream(operations.export_call(resource, format, search, null_word)) as answer:
            yield from answer.iter_bytes()

    def rows(self, resource: str, *, search: str | None = None) -> Iterator[dict[str, Any]]:
        """A resource's rows one by one, as they come."""
        with self.stream(operations.export_call(resource, "ndjson", search)) as answer:
            for line in answer.iter_lines():
                yield msgspec.json.decode(line)

    def run(self, operation: Operation[T], on_sent: OnSent | None = None) -> T:
        """Carry an operation out."""
        try:
            call = next(operation)
            while True:
                try:
                    response = self._send(call, on_sent)
                except ClientError as error:
                    call = operation.throw(error)
                else:
                    call = operation.send(response)
        except StopIteration as done:
            result: T = done.value
            return result

    @contextmanager
    def stream(self, call: Call) -> Iterator[httpx.Response]:
        """The response to a request, with its body streamed.

        Raises
        ------
        RequestRefused
            The server refused the request.
        UnexpectedAnswer
            The connection broke in the middle.
        """
        answer = self._send(call, None, is_streamed=True)
        try:
            if not answer.is_success:
                answer.read()
                checked(answer)
            yield answer
        except httpx.TransportError as error:
            raise UnexpectedAnswer(f"The connection was lost in the middle of the answer: {error}") from error
        finally:
            answer.close()

    def save(self, call: Call, path: str | Path) -> int:
        """Write a streamed answer to a file, which appears when it is complete. Returns its size in bytes.

        Raises
        ------
        TargetUnusable
            It cannot be written.
        """
        with self.stream(call) as answer, growing_file(path) as file:
            for block in answer.iter_bytes():
                file.write(block)
            return file.tell()

    def _send(self, call: Call, on_sent: OnSent | None, *, is_streamed: bool = False) -> httpx.Response:
        attempts = Attempts(call, self.url, self._patience_seconds)
        if call.pause_seconds:
            self.pause(call.pause_seconds)
        while True:
            request = self._http.build_request(
                call.method,
                self.prefix + call.path,
                params=dict(call.params),
                headers=dict(call.headers),
                content=call.content if call.source is None else _counted(attempts, on_sent),
            )
            try:
                response = self._http.send(request, stream=is_streamed)
            except httpx.TransportError as error:
                self.pause(attempts.pause_after_error(error))
                continue
            pause = attempts.pause_after_answer(response)
            if pause is None:
                return response
            response.close()
            self.pause(pause)


def _counted(attempts: Attempts, on_sent: OnSent | None) -> Iterator[bytes]:
    call = attempts.call
    if call.source is None or isinstance(call.source, AsyncRecordSource):
        raise SourceUnusable("An asynchronous iterable needs AsyncClient.")
    attempts.sent, attempts.is_read = 0, False
    if on_sent is not None:
        on_sent(call.sent_before)
    for block in call.source.blocks():
        attempts.sent += len(block)
        yield block
        if on_sent is not None:
            on_sent(call.sent_before + attempts.sent)
    attempts.is_read = True
