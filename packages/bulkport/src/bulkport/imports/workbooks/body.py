"""A workbook or a Parquet file as text: kept in a temporary file, converted by a process of its own."""

import asyncio
import contextlib
import errno
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import IO, Any, Final

from bulkport.errors import InsufficientStorage, MalformedBody, NotConfigured, TooLarge
from bulkport.imports.formats import BodyFormat, ColumnNames
from bulkport.imports.options import ReadingOptions
from bulkport.imports.workbooks.errors import DAMAGED
from bulkport.limits import ImportLimits

_PART_BYTES: Final = 64 * 1024
_MAX_TOLD_BYTES: Final = 64 * 1024
_SECONDS: Final = 120
_EXTRAS: Final = {BodyFormat.EXCEL: "excel", BodyFormat.PARQUET: "parquet"}
_KINDS: Final = {BodyFormat.EXCEL: "workbook", BodyFormat.PARQUET: "Parquet file"}


class ConvertedBody:
    """The records of a binary file: CSV of a workbook, NDJSON of a Parquet file.

    Memory here is one part of the text; the converter may take `max_file_memory_bytes`.

    Parameters
    ----------
    body:
        The file, without a content encoding.
    slots:
        Its number of slots is the number of concurrent conversions.
    """

    def __init__(
        self,
        body: AsyncIterable[bytes],
        body_format: BodyFormat,
        options: ReadingOptions,
        names: ColumnNames,
        *,
        limits: ImportLimits,
        slots: asyncio.Semaphore,
    ) -> None:
        self._body = body
        self._format = body_format
        self._options = options
        self._names = names
        self._limits = limits
        self._slots = slots
        self.found: dict[str, Any] = {}
        """What was detected, by fields of `ReadingOptions`; known with the first part."""
        self.warnings: list[str] = []
        """What the client ought to know of the file; known with the first part."""
        self.others: list[str] = []
        """Sheets that were not read, hidden ones too."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The text.

        Raises
        ------
        MalformedBody
            The file cannot be read.
        TooLarge
            It is larger than a file may be, or needs more memory or time.
        InsufficientStorage
            The disk on which it waits is full.
        NotConfigured
            The extra that reads such files is not installed.
        """
        with tempfile.NamedTemporaryFile(prefix="bulkport-", suffix=".file", dir=self._limits.spool_folder) as file:
            await self._store(file)
            async with self._slots:
                async for part in self._convert(file.name):
                    yield part

    async def _store(self, file: IO[bytes]) -> None:
        size = 0
        async for data in self._body:
            size += len(data)
            if size > self._limits.max_file_bytes:
                raise TooLarge(f"A {_KINDS[self._format]} may have {self._limits.max_file_bytes:,} bytes at most.")
            await _written(file.write, data)
        await _written(file.flush)

    async def _convert(self, path: str) -> AsyncIterator[bytes]:
        order = {
            "path": path,
            "format": self._format,
            "sheet": self._options.sheet,
            "decimal": self._options.decimal,
            "true_words": self._options.true_words,
            "false_words": self._options.false_words,
            "required": self._names.required_names(),
            "max_cells": self._limits.max_file_cells,
            "memory_bytes": self._limits.max_file_memory_bytes,
            "seconds": _SECONDS,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bulkport.imports.workbooks.converter",
            json.dumps(order),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=_MAX_TOLD_BYTES,
            # One thread each, because memory reserved by native readers for more threads counts.
            env={**os.environ, "OMP_NUM_THREADS": "1", "ARROW_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"},
        )
        assert process.stdout is not None
        try:
            self._read_findings(await process.stdout.readline())
            while data := await process.stdout.read(_PART_BYTES):
                yield data
            status = await process.wait()
            if status == DAMAGED:
                raise MalformedBody(f"The {_KINDS[self._format]} is damaged; nothing of it was kept.")
            if status:
                raise self._exhausted()
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()

    def _read_findings(self, line: bytes) -> None:
        if not line:
            raise self._exhausted()
        found = json.loads(line)
        if "error" in found:
            raise MalformedBody(f"The {_KINDS[self._format]} cannot be read: {found['error']}.")
        if "missing" in found:
            extra = _EXTRAS[self._format]
            raise NotConfigured(f"A {_KINDS[self._format]} needs the extra: pip install 'bulkport[{extra}]'.")
        self.others = found.pop("others", [])
        if unread := found.pop("unread", []):
            listed = ", ".join(map(repr, unread))
            self.warnings.append(f"Only the sheet {found['sheet']!r} was read; sheet= names another one: {listed}")
        self.found = found

    def _exhausted(self) -> TooLarge:
        memory = f"{self._limits.max_file_memory_bytes // 2**20:,} MiB"
        return TooLarge(
            f"The {_KINDS[self._format]} cannot be read with {memory} of memory and {_SECONDS} seconds of processing; "
            "send it as CSV, or in parts."
        )


async def _written(write: Callable[..., Any], *data: bytes) -> None:
    try:
        await asyncio.to_thread(write, *data)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise InsufficientStorage from error
        raise
