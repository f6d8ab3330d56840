"""An export as a workbook or a Parquet file: pages of CSV go to a process of their own, the file comes back."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from enum import StrEnum
from importlib.util import find_spec
from typing import Any, Final

from bulkport.errors import NotConfigured, ServiceUnavailable
from bulkport.imports.exports.file_columns import excel_kinds, parquet_kinds, parquet_values
from bulkport.imports.exports.pages import Export, PageText
from bulkport.imports.exports.query import ExportQuery
from bulkport.imports.exports.writers.process import END
from bulkport.imports.table import TargetTable
from bulkport.pools import AsyncPool

_PART_BYTES: Final = 64 * 1024
_MEMORY_BYTES: Final = 2 * 1024**3


class FileFormat(StrEnum):
    """A file that is no text."""

    XLSX = "xlsx"
    PARQUET = "parquet"

    @property
    def media_type(self) -> str:
        """Its Content-Type."""
        return _MEDIA_TYPES[self]


_MEDIA_TYPES: Final = {
    FileFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    FileFormat.PARQUET: "application/vnd.apache.parquet",
}
_NEEDS: Final = {FileFormat.XLSX: ("excel", "xlsxwriter"), FileFormat.PARQUET: ("parquet", "pyarrow")}


def require_writer(file_format: FileFormat) -> None:
    """Refuse what this installation cannot write.

    Raises
    ------
    NotConfigured
        The extra is not installed; the message names it.
    """
    extra, module = _NEEDS[file_format]
    if find_spec(module) is None:
        raise NotConfigured(f"An export as {file_format} needs the extra: pip install 'bulkport[{extra}]'.")


class ExportedFile:
    """The rows of a resource's table as one file. Memory holds a page of them here, and a row group there.

    Parameters
    ----------
    null_word:
        What stands for null in the cells of a workbook.
    """

    def __init__(
        self, pool: AsyncPool, table: TargetTable, query: ExportQuery, file_format: FileFormat, *, null_word: str = ""
    ) -> None:
        require_writer(file_format)
        self._pool = pool
        self._table = table
        self._query = query
        self._format = file_format
        self._null_word = null_word if file_format is FileFormat.XLSX else ""

    async def parts(self) -> AsyncIterator[bytes]:
        """The file, a part at a time. A Parquet file comes as it is written, a workbook when it is complete.

        Raises
        ------
        ValidationFailed
            The rows do not fit into such a file; raised before the first part.
        ServiceUnavailable
            The process that writes it failed.
        """
        async with self._pool.connection() as connection:
            if self._format is FileFormat.XLSX:
                kinds, values = await excel_kinds(connection, self._table, self._query), None
            else:
                kinds = await parquet_kinds(connection, self._table, self._query)
                values = parquet_values(self._table, kinds)
        export = Export(self._pool, self._table, self._query, null_word=self._null_word, values=values)
        columns = [{"name": name, "kind": kind} for name, kind in zip(export.header, kinds, strict=True)]
        order = {
            "format": self._format,
            "columns": columns,
            "null_word": self._null_word,
            "memory_bytes": _MEMORY_BYTES,
        }
        async with _writer(order) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            feeding = asyncio.create_task(_feed(export, process.stdin))
            try:
                while data := await process.stdout.read(_PART_BYTES):
                    yield data
                await feeding
                if await process.wait():
                    raise ServiceUnavailable(await _failure(process))
            finally:
                feeding.cancel()
                await asyncio.gather(feeding, return_exceptions=True)


async def _feed(export: Export, stdin: asyncio.StreamWriter) -> None:
    try:
        async for page in export.pages(PageText.CSV):
            stdin.write(len(page).to_bytes(4, "big"))
            stdin.write(page)
            await stdin.drain()
        stdin.write(END)
    except ConnectionError:  # the writer has gone, and says why
        pass
    finally:
        # Without the mark of the end the writer fails: half a file is none.
        stdin.close()


@contextlib.asynccontextmanager
async def _writer(order: dict[str, Any]) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bulkport.imports.exports.writers.process",
        json.dumps(order),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        # One thread each: what native writers reserve for others counts as memory.
        env={**os.environ, "OMP_NUM_THREADS": "1", "ARROW_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await process.wait()


async def _failure(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    said = (await process.stderr.read(1000)).decode(errors="replace")
    return f"The file could not be written: {said or 'its process was killed'}."
