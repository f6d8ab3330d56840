"""The asynchronous client: the same calls as `Client`, awaited."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import msgspec

from bulkport.client import operations
from bulkport.client.async_imports import AsyncImports
from bulkport.client.errors import ClientError, UnexpectedAnswer
from bulkport.client.growing_file import growing_file
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
        api_key: str | None = None,
        prefix: str = "/api",
        headers: Mapping[str, str] | None = None,
        patience_seconds: float = 30.0,
        resumable_bytes: int | None = RESUMABLE_BYTES,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.url = checked_url(url)
        self.prefix = checked_prefix(prefix)
        self.resumable_bytes = resumable_bytes
        self.pause = sleep
        self._patience_seconds = patience_seconds
        self._http = httpx.AsyncClient(
            base_url=self.url,
            headers=headers_with(api_key, headers),
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

    async def schema(self, resource: str) -> dict[str, Any]:
        """JSON Schema of a resource's records; `x-bulkport` has formats, modes and limits."""
        return await self.run(operations.schema(resource))

    async def save_template(self, resource: str, path: str | Path) -> int:
        """Write a file to fill in, with the header and examples: CSV, or a workbook by its name (`.xlsx`)."""
        suffix = "xlsx" if Path(path).suffix.lower() == ".xlsx" else "csv"
        return await self.save(operations.template_call(resource, suffix), path)

    async def export(
        self,
        resource: str,
        path: str | Path,
        *,
        format: str | None = None,  # noqa: A002 # the field's name
        search: str | None = None,
        null_word: str | None = None,
    ) -> int:
        """Write a resource\'s rows to a file; see `Client.export`."""
        chosen = format or Path(path).suffix.lstrip(".").lower() or "csv"
        return await self.save(operations.export_call(resource, chosen, search, null_word), path)

    async def export_blocks(
        self,
        resource: str,
        format: str,  # noqa: A002 # the field's name
        *,
        search: str | None = None,
        null_word: str | None = None,
    ) -> AsyncIterator[bytes]:
        """The bytes of an export as they come; see `Client.export`."""
        async with self.stream(operations.export_call(resource, format, search, null_word)) as answer:
            async for block in answer.aiter_bytes():
                yield block

    async def rows(self, resource: str, *, search: str | None = None) -> AsyncIterator[dict[str, Any]]:
        """A resource's rows one by one, as they come."""
        async with self.stream(operations.export_call(resource, "ndjson", search)) as answer:
            async for line in answer.aiter_lines():
                yield msgspec.json.decode(line)

    async def run(self, operation: Operation[T], on_sent: OnSent | None = None) -> T:
        """Carry an operation out."""
        try:
            call = next(operation)
            while True:
                try:
                    response = await self._send(call, on_sent)
                except ClientError as error:
                    call = operation.throw(error)
                else:
                    call = operation.send(response)
        except StopIteration as done:
            result: T = done.value
            return result

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncIterator[httpx.Response]:
        """The response to a request, with its body streamed.

        Raises
        ------
        RequestRefused
            The server refused the request.
        UnexpectedAnswer
            The connection broke in the middle.
        """
        answer = await self._send(call, None, is_streamed=True)
        try:
            if not answer.is_success:
                await answer.aread()
                checked(answer)
            yield answer
        except httpx.TransportError as error:
            raise UnexpectedAnswer(f"The connection was lost in the middle of the answer: {error}") from error
        finally:
            await answer.aclose()

    async def save(self, call: Call, path: str | Path) -> int:
        """Write a streamed answer to a file, which appears when it is complete. Returns its size in bytes.

        Raises
        ------
        TargetUnusable
            It cannot be written.
        """
        async with self.stream(call) as answer:
            with growing_file(path) as file:
                async for block in answer.aiter_bytes():
                    await asyncio.to_thread(file.write, block)
                size = file.tell()
        return size

    async def _send(self, call: Call, on_sent: OnSent | None, *, is_streamed: bool = False) -> httpx.Response:
        attempts = Attempts(call, self.url, self._patience_seconds)
        if call.pause_seconds:
            await self.pause(call.pause_seconds)
        while True:
            request = self._http.build_request(
                call.method,
                self.prefix + call.path,
                params=dict(call.params),
                headers=dict(call.headers),
                content=call.content if call.source is None else _counted(attempts, on_sent),
            )
            try:
                response = await self._http.send(request, stream=is_streamed)
            except httpx.TransportError as error:
                await self.pause(attempts.pause_after_error(error))
                continue
            pause = attempts.pause_after_answer(response)
            if pause is None:
                return response
            await response.aclose()
            await self.pause(pause)


async def _counted(attempts: Attempts, on_sent: OnSent | None) -> AsyncIterator[bytes]:
    call = attempts.call
    assert call.source is not None
    attempts.sent, attempts.is_read = 0, False
    if on_sent is not None:
        on_sent(call.sent_before)
    blocks = call.source.blocks() if isinstance(call.source, AsyncRecordSource) else _in_threads(call.source.blocks())
    async for block in blocks:
        attempts.sent += len(block)
        yield block
        if on_sent is not None:
            on_sent(call.sent_before + attempts.sent)
    attempts.is_read = True


async def _in_threads(blocks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Produce blocks in a thread, because producing them reads a disk or takes a while."""
    while (block := await asyncio.to_thread(next, blocks, None)) is not None:
        yield block
