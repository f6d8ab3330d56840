"""Writes a workbook or a Parquet file: a separate process receives pages of CSV and returns the file."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from enum import StrEnum
from importlib.util import find_spec
from typing import Any, Final

from bulkport.errors import NotConfigured, ServiceUnavailable, ValidationFailed
from bulkport.imports.exports.writers.process import END, UNFIT
from bulkport.task_scope import end_tasks

_PART_BYTES: Final = 64 * 1024
_MEMORY_BYTES: Final = 2 * 1024**3


class FileFormat(StrEnum):
    """A binary file."""

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
    """Reject formats that this installation cannot write.

    Raises
    ------
    NotConfigured
        The extra is not installed; the message names it.
    """
    extra, module = _NEEDS[file_format]
    if find_spec(module) is None:
        raise NotConfigured(f"A file of format {file_format} needs the extra: pip install 'bulkport[{extra}]'.")


async def written_file(
    file_format: FileFormat,
    columns: Sequence[tuple[str, str]],
    pages: AsyncIterator[bytes],
    *,
    null_word: str = "",
    folder: str | None = None,
) -> AsyncIterator[bytes]:
    """The file in parts. A Parquet file is sent while it is written, a workbook when it is complete.

    Parameters
    ----------
    columns:
        Name and kind of each; see `file_columns`.
    pages:
        Whole rows of CSV, without a header.
    folder:
        Where a workbook grows until it is complete; None: the system's folder for temporary files.

    Raises
    ------
    ValidationFailed
        The rows do not fit into such a file.
    ServiceUnavailable
        The process that writes it failed.
    """
    require_writer(file_format)
    order = {
        "format": file_format,
        "columns": [{"name": name, "kind": kind} for name, kind in columns],
        "null_word": null_word,
        "folder": folder,
        "memory_bytes": _MEMORY_BYTES,
    }
    async with _writer(order) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        feeding = asyncio.create_task(_feed(pages, process.stdin))
        try:
            while data := await process.stdout.read(_PART_BYTES):
                yield data
            await feeding
            if status := await process.wait():
                assert process.stderr is not None
                said = (await process.stderr.read(1000)).decode(errors="replace")
                if status == UNFIT:
                    raise ValidationFailed({"format": [said]})
                raise ServiceUnavailable(f"The file could not be written: {said or 'its process was killed'}.")
        finally:
            await end_tasks(feeding)


async def _feed(pages: AsyncIterator[bytes], stdin: asyncio.StreamWriter) -> None:
    try:
        async for page in pages:
            if page:
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
        # One thread each, because memory reserved by native writers for more threads counts.
        env={**os.environ, "OMP_NUM_THREADS": "1", "ARROW_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await process.wait()
