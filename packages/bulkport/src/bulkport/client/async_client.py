"""The asynchronous client: the same calls as `Client`, awaited."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from bulkport.client import operations
from bulkport.client.answers import BadRow, ImportProgress, RowResult, decode
from bulkport.client.errors import UnexpectedAnswer
from bulkport.client.operations import Call, Operation
from bulkport.client.records import AsyncRecordSource, Data, source_of
from bulkport.client.sending import TIMEOUT, Attempts, OnSent, checked_url, headers_with, is_on_this_machine
from bulkport.imports.formats.media_type import BodyFormat
from bulkport.imports.formats.prefer_header import Handling

T = TypeVar("T")


class AsyncClient:
    """Talks to one server with one API key; see `Client`. An asynchronous context manager.

    Examples
    --------
    ::

        async with AsyncClient("http://127.0.0.1:8000", api_key=key) as client:
            job = await client.imports.create("platforms", records())
            progress = await job.wait()
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str,
        patience_seconds: float = 30.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.url = checked_url(url)
        self._patience_seconds = patience_seconds
        self._http = httpx.AsyncClient(
            base_url=self.url,
            headers=headers_with(api_key),
            timeout=TIMEOUT,
            transport=transport,
            trust_env=not is_on_this_machine(self.url),
        )
        self.imports = AsyncImports(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def check_access(self) -> None:
        """Ask the server whether it is there and knows the key; see `Client.check_access`."""
        await self.run(operations.check_access())

    async def export(
        self,
        resource: str,
        path: str | Path,
        *,
        format: str | None = None,  # noqa: A002 # the field's name
        search: str | None = None,
    ) -> int:
        """Write a resource's rows to a file; see `Client.export`."""
        chosen = format or Path(path).suffix.lstrip(".").lower() or "csv"
        return await self._save(operations.export_call(resource, chosen, search), Path(path))

    async def run(self, operation: Operation[T], on_sent: OnSent | None = None) -> T:
        """Carry an operation out."""
        try:
            call = next(operation)
            while True:
                call = operation.send(await self._send(call, on_sent))
        except StopIteration as done:
            result: T = done.value
            return result

    async def _send(self, call: Call, on_sent: OnSent | None) -> httpx.Response:
        attempts = Attempts(call, self.url, self._patience_seconds)
        while True:
            try:
                response = await self._http.request(
                    call.method,
                    call.path,
                    params=dict(call.params),
                    headers=dict(call.headers),
                    content=call.content if call.source is None else _counted(attempts, on_sent),
                )
            except httpx.TransportError as error:
                await asyncio.sleep(attempts.pause_after_error(error))
                continue
            pause = attempts.pause_after_answer(response)
            if pause is None:
                return response
            await asyncio.sleep(pause)

    async def _save(self, call: Call, path: Path) -> int:
        partial = path.with_name(path.name + ".part")
        try:
            async with self._http.stream(
                call.method, call.path, params=dict(call.params), headers=dict(call.headers)
            ) as answer:
                if not answer.is_success:
                    await answer.aread()
                    decode(answer, ImportProgress)
                with partial.open("wb") as file:
                    async for block in answer.aiter_bytes():
                        await asyncio.to_thread(file.write, block)
                    size = file.tell()
            partial.replace(path)
        except httpx.TransportError as error:
            raise UnexpectedAnswer(f"The connection was lost while {path} was being written: {error}") from error
        finally:
            partial.unlink(missing_ok=True)
        return size


async def _counted(attempts: Attempts, on_sent: OnSent | None) -> AsyncIterator[bytes]:
    source = attempts.call.source
    assert source is not None
    attempts.sent, attempts.is_read = 0, False
    if on_sent is not None:
        on_sent(0)
    blocks = source.blocks() if isinstance(source, AsyncRecordSource) else _in_threads(source.blocks())
    async for block in blocks:
        attempts.sent += len(block)
        yield block
        if on_sent is not None:
            on_sent(attempts.sent)
    attempts.is_read = True


async def _in_threads(blocks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Blocks whose making reads a disk or takes a while, without holding up the event loop."""
    while (block := await asyncio.to_thread(next, blocks, None)) is not None:
        yield block


class AsyncImports:
    """The imports of the key's user; see `Imports`."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def create(
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
    ) -> "AsyncImport":
        """Send records, also of an asynchronous iterable; see `Imports.create`."""
        source, kind = source_of(
            data, format=None if format is None else BodyFormat(format), delimiter=delimiter, compresses=compress
        )
        accepted = await self._client.run(
            operations.create(
                resource,
                source,
                kind,
                handling=handling,
                name=name,
                client_id=client_id,
                metadata=metadata,
                idempotency_key=idempotency_key,
                options=options,
            ),
            on_sent,
        )
        return AsyncImport(self._client, accepted.id, accepted.total_records)

    async def get(self, import_id: int) -> "AsyncImport":
        """One import; raises RequestRefused when there is none, or it is another user's."""
        job = AsyncImport(self._client, import_id)
        await job.refresh()
        return job

    async def find(self, client_id: str) -> "AsyncImport | None":
        """The import that was given this `client_id`."""
        return await anext(self.list(client_id=client_id), None)

    async def list(self, **filters: Any) -> AsyncIterator["AsyncImport"]:
        """Imports, newest first; see `Imports.list`."""
        cursor: str | None = None
        while True:
            page = await self._client.run(operations.list_page(filters, cursor, 100))
            for progress in page.items:
                yield AsyncImport(self._client, progress.id, progress.total_records, progress)
            cursor = page.next_cursor
            if cursor is None:
                return


class AsyncImport:
    """One import on the server; see `Import`."""

    def __init__(
        self, client: AsyncClient, id_: int, total_records: int | None = None, progress: ImportProgress | None = None
    ) -> None:
        self._client = client
        self.id = id_
        self.total_records = total_records
        self.progress = progress
        """Where it stood when the server was last asked."""

    def __repr__(self) -> str:
        return f"<AsyncImport {self.id} {'' if self.progress is None else self.progress.status}>"

    async def refresh(self) -> ImportProgress:
        """Where it stands now."""
        self.progress = await self._client.run(operations.get(self.id))
        return self.progress

    async def follow(self) -> AsyncIterator[ImportProgress]:
        """Where it stands, again and again until it has ended; the last one is final."""
        pause = 0.05
        while True:
            progress = await self.refresh()
            yield progress
            if progress.is_settled:
                return
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 1.0)

    async def wait(self, *, timeout: float | None = None) -> ImportProgress:  # noqa: ASYNC109 # as `Import.wait`
        """Where it stands when it has ended; raises TimeoutError after `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            seconds = 20 if deadline is None else max(1, min(20, round(deadline - time.monotonic())))
            self.progress = await self._client.run(operations.get(self.id, wait_seconds=seconds))
            if self.progress.is_settled:
                return self.progress
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError(f"import {self.id} has not ended after {timeout:g} s")

    async def errors(self, *, page_size: int = 100) -> AsyncIterator[BadRow]:
        """Every row that was not imported, in row order; pages are asked for as they are needed."""
        cursor: str | None = None
        while True:
            page = await self._client.run(operations.errors_page(self.id, cursor, page_size))
            for row in page.items:
                yield row
            cursor = page.next_cursor
            if cursor is None:
                return

    async def save_errors(self, path: str | Path) -> int:
        """Write the rows that were not imported to a file; see `Import.save_errors`."""
        is_ndjson = Path(path).suffix.lower() in {".ndjson", ".jsonl"}
        call = operations.errors_call(self.id, "application/x-ndjson" if is_ndjson else "text/csv")
        return await self._client._save(call, Path(path))  # noqa: SLF001 # the client's own

    async def results(self, *, page_size: int = 1000) -> AsyncIterator[RowResult]:
        """What became of each row, in row order, for an import that was sent with `results="ids"`."""
        cursor: str | None = None
        while True:
            page = await self._client.run(operations.results_page(self.id, cursor, page_size))
            for result in page.items:
                yield result
            cursor = page.next_cursor
            if cursor is None:
                return

    async def mend(self, row: int, record: Mapping[str, Any]) -> None:
        """Replace a rejected row by a mended record, which `retry` sends."""
        await self._client.run(operations.mend(self.id, row, record))

    async def retry(
        self,
        mended: Data | None = None,
        *,
        format: BodyFormat | str | None = None,  # noqa: A002 # the field's name
    ) -> "AsyncImport":
        """Send the rejected rows again; see `Import.retry`."""
        source, kind = None, None
        if mended is not None:
            source, kind = source_of(mended, format=None if format is None else BodyFormat(format))
        accepted = await self._client.run(operations.retry(self.id, source, kind))
        return AsyncImport(self._client, accepted.id, accepted.total_records)

    async def cancel(self) -> ImportProgress:
        """Cancel it; see `Import.cancel`."""
        self.progress = await self._client.run(operations.cancel(self.id))
        return self.progress
