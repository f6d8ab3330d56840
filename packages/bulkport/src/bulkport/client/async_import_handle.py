"""One import on the server, for the asynchronous client."""

import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bulkport.client import operations
from bulkport.client.errors import UnexpectedAnswer
from bulkport.client.events import EventReader, show_progress
from bulkport.client.operations import report_format
from bulkport.client.records import Data, source_of
from bulkport.client.responses import BadRow, ImportEvent, ImportProgress, RowResult
from bulkport.imports.body_format import BodyFormat

if TYPE_CHECKING:
    from bulkport.client.async_client import AsyncClient

_MOST_BREAKS = 20


class AsyncImport:
    """One import on the server."""

    def __init__(
        self, client: "AsyncClient", id_: int, total_records: int | None = None, progress: ImportProgress | None = None
    ) -> None:
        self._client = client
        self.id = id_
        self.total_records = total_records
        self.progress = progress
        """The status at the last request to the server."""

    def __repr__(self) -> str:
        return f"<AsyncImport {self.id} {'' if self.progress is None else self.progress.status}>"

    async def refresh(self) -> ImportProgress:
        """Its current progress."""
        self.progress = await self._client.run(operations.get(self.id))
        return self.progress

    async def follow(self) -> AsyncIterator[ImportProgress]:
        """Its progress, repeatedly until it has finished; the last one is final."""
        pause = 0.05
        while True:
            progress = await self.refresh()
            yield progress
            if progress.is_settled:
                return
            await self._client.pause(pause)
            pause = min(pause * 1.5, 1.0)

    async def events(self) -> AsyncIterator[ImportEvent]:
        """Its events, as they happen, until it has finished; a broken stream is resumed."""
        reader = EventReader()
        breaks = 0
        while not reader.is_done:
            try:
                async with self._client.stream(operations.events_call(self.id, reader.last_event_id)) as answer:
                    async for line in answer.aiter_lines():
                        for event in reader.feed(line):
                            self.progress, breaks = event.progress, 0
                            yield event
                if answer.status_code == 204:  # the end had been sent
                    return
            except UnexpectedAnswer:
                breaks += 1
                if breaks > _MOST_BREAKS:
                    raise
            if not reader.is_done:
                reader.forget()
                await self._client.pause(0.5)

    async def wait(
        self,
        *,
        timeout: float | None = None,  # noqa: ASYNC109
        progress: bool = False,
    ) -> ImportProgress:
        """The status when the import has ended.

        Parameters
        ----------
        timeout:
            Seconds after which a TimeoutError is raised; None: as long as it takes.
        progress:
            Show a line with the rows done so far on standard error.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            # The server delays its response until the import has ended, so no poll is wasted.
            seconds = 1 if progress else 20 if deadline is None else max(1, min(20, round(deadline - time.monotonic())))
            self.progress = await self._client.run(operations.get(self.id, wait_seconds=seconds))
            if progress:
                show_progress(self.progress)
            if self.progress.is_settled:
                return self.progress
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError(f"import {self.id} has not finished after {timeout:g} s")

    async def wait_a_second(self) -> ImportProgress:
        """The status when the import has ended, or after a second."""
        self.progress = await self._client.run(operations.get(self.id, wait_seconds=1))
        return self.progress

    async def errors(self, *, page_size: int = 100) -> AsyncIterator[BadRow]:
        """Every rejected row, in row order; pages are requested as needed."""
        cursor: str | None = None
        while True:
            page = await self._client.run(operations.errors_page(self.id, cursor, page_size))
            for row in page.items:
                yield row
            cursor = page.next_cursor
            if cursor is None:
                return

    async def save_errors(self, path: str | Path) -> int:
        """Write the rejected rows to a file. Returns its size in bytes.

        It is CSV, or by its name NDJSON or a workbook (`.xlsx`). CSV and workbooks can be mended and given to `retry`.
        """
        return await self._client.save(operations.errors_call(self.id, report_format(path)), path)

    async def results(self, *, page_size: int = 1000) -> AsyncIterator[RowResult]:
        """The outcome of each row, in row order, for an import that was sent with `results="ids"`."""
        cursor: str | None = None
        while True:
            page = await self._client.run(operations.results_page(self.id, cursor, page_size))
            for row in page.items:
                yield row
            cursor = page.next_cursor
            if cursor is None:
                return

    async def mend(self, row: int, record: Mapping[str, Any]) -> None:
        """Replace a rejected row with a corrected record, which `retry` sends."""
        await self._client.run(operations.mend(self.id, row, record))

    async def retry(
        self,
        mended: Data | None = None,
        *,
        format: BodyFormat | str | None = None,  # noqa: A002 # the field's name
        idempotency_key: str | None = None,
    ) -> "AsyncImport":
        """Send the rejected rows again, as a new import that continues this one.

        Parameters
        ----------
        mended:
            The mended error report, or other rows, as for `create`; None: the rows as they were, or as `mend` left
            them.

        Raises
        ------
        RequestRefused
            It has not ended, or its rows were sent again already.
        """
        source, kind = None, None
        if mended is not None:
            source, kind = source_of(mended, format=None if format is None else BodyFormat(format))
        accepted = await self._client.run(operations.retry(self.id, source, kind, idempotency_key))
        return AsyncImport(self._client, accepted.id, accepted.total_records)

    async def cancel(self, *, rollback: bool = False) -> ImportProgress:
        """Cancel it. Raises RequestRefused if it has already finished.

        Parameters
        ----------
        rollback:
            Remove the rows that are stored already; else they are kept.
        """
        self.progress = await self._client.run(operations.cancel(self.id, rollback=rollback))
        return self.progress

    async def undo(self) -> ImportProgress:
        """Undo the import, except for rows that were changed since; `undone` of the result counts the rows.

        Raises
        ------
        RequestRefused
            It has not ended, was undone before, or cannot be undone.
        """
        self.progress = await self._client.run(operations.undo(self.id))
        return self.progress
