"""Bodies made from Python values: records of any kind, data frames, bytes and files."""

import dataclasses
import io
import os
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias

import msgspec

from bulkport.client.bodies import BodyKind, FileSource, GzippedSource, Source, StreamSource, gzipped
from bulkport.client.errors import SourceUnusable
from bulkport.imports.body_format import BodyFormat

Data: TypeAlias = str | os.PathLike[str] | bytes | BinaryIO | Iterable[Any] | AsyncIterable[Any]
"""What can be sent: the path of a file, a binary file, bytes, a data frame of pandas or polars, a table of pyarrow, or
records (mappings, Pydantic models, dataclasses, msgspec structs), also as a generator or an asynchronous one."""

_BLOCK_BYTES: Final = 256 * 1024
_FRAME_ROWS: Final = 20_000
_GIVE_FORMAT: Final = 'give format="csv", "ndjson", "json", "excel" or "parquet".'
_NDJSON: Final = BodyKind(BodyFormat.NDJSON)


class BytesSource:
    """Bytes in memory."""

    is_replayable: Final = True

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.size = len(content)

    def blocks(self) -> Iterator[bytes]:
        """The bytes, a piece at a time."""
        for start in range(0, len(self._content), _BLOCK_BYTES):
            yield self._content[start : start + _BLOCK_BYTES]


class RecordSource:
    """Records as NDJSON, compressed with gzip on the way.

    Parameters
    ----------
    open_records:
        Gives the records from the first one on.
    is_replayable:
        Whether it can be called again.
    """

    size: Final = None

    def __init__(self, open_records: Callable[[], Iterable[Any]], *, is_replayable: bool, compresses: bool) -> None:
        self._open_records = open_records
        self.is_replayable = is_replayable
        self._compresses = compresses

    def blocks(self) -> Iterator[bytes]:
        """The records' lines, some hundred kilobytes at a time.

        Raises
        ------
        SourceUnusable
            A record cannot be written as JSON.
        """
        lines = _blocks_of(encode_record(record, number) for number, record in enumerate(self._open_records(), 1))
        return gzipped(lines) if self._compresses else lines


class AsyncRecordSource:
    """Records of an asynchronous iterable as NDJSON; they can be read once."""

    size: Final = None
    is_replayable: Final = False

    def __init__(self, records: AsyncIterable[Any], *, compresses: bool) -> None:
        self._records = records
        self._compresses = compresses

    async def blocks(self) -> AsyncIterator[bytes]:
        """As `RecordSource.blocks`."""
        compressor = zlib.compressobj(1, wbits=31) if self._compresses else None
        block = bytearray()
        number = 0
        async for record in self._records:
            number += 1
            block += encode_record(record, number)
            if len(block) >= _BLOCK_BYTES:
                if data := compressor.compress(block) if compressor else bytes(block):
                    yield data
                block.clear()
        if compressor is None:
            if block:
                yield bytes(block)
            return
        yield compressor.compress(block) + compressor.flush()


def source_of(
    data: Data,
    *,
    format: BodyFormat | None = None,  # noqa: A002 # the field's name
    delimiter: str | None = None,
    compresses: bool | None = None,
) -> tuple[Source | AsyncRecordSource, BodyKind]:
    """What `data` is sent as.

    Parameters
    ----------
    format:
        Of files and bytes whose name does not say it.
    compresses:
        Whether the body is sent with gzip; None: records are, files and bytes go as they are.

    Raises
    ------
    SourceUnusable
        It is nothing that can be sent, or does not say its format.
    """
    source, kind = _plain_source(data, format, delimiter, compresses=compresses is not False)
    is_text = kind.format not in (BodyFormat.EXCEL, BodyFormat.PARQUET)
    if compresses and is_text and kind.encoding is None and not isinstance(source, AsyncRecordSource):
        return GzippedSource(source), replace(kind, encoding="gzip")
    return source, kind


def _plain_source(
    data: Data,
    format: BodyFormat | None,  # noqa: A002
    delimiter: str | None,
    *,
    compresses: bool,
) -> tuple[Source | AsyncRecordSource, BodyKind]:
    """The source; records are compressed where they are written."""
    if isinstance(data, FileSource | StreamSource | BytesSource):
        return data, _said(format, delimiter)
    if isinstance(data, str | os.PathLike):
        path = Path(data)
        kind = BodyKind.of_name(path.name, format=format)
        if kind is None:
            raise SourceUnusable(f"The name {path.name} does not say its format: {_GIVE_FORMAT}")
        return FileSource(path), _with_delimiter(kind, delimiter)
    if isinstance(data, bytes | bytearray | memoryview):
        return BytesSource(bytes(data)), _said(format, delimiter)
    if isinstance(data, io.IOBase) or hasattr(data, "read"):
        name = str(getattr(data, "name", ""))
        kind = BodyKind.of_name(name, format=format)
        return StreamSource(data, name or "the stream"), (  # type: ignore[arg-type]
            _said(format, delimiter) if kind is None else _with_delimiter(kind, delimiter)
        )
    if isinstance(data, Mapping):
        raise SourceUnusable("A single mapping is not a list of records; put it into a list.")
    if isinstance(data, AsyncIterable):
        return AsyncRecordSource(data, compresses=compresses), _compressed(compresses)
    if (open_records := _frame_records(data)) is not None:
        return RecordSource(open_records, is_replayable=True, compresses=compresses), _compressed(compresses)
    if isinstance(data, Iterable):
        is_replayable = isinstance(data, Sequence | frozenset | set)
        return RecordSource(lambda: data, is_replayable=is_replayable, compresses=compresses), _compressed(compresses)
    raise SourceUnusable(f"{type(data).__name__} is nothing that can be imported.")


def encode_record(record: Any, number: int) -> bytes:
    """One record as a line of NDJSON.

    Raises
    ------
    SourceUnusable
        It is not a record, or holds a value that JSON cannot write.
    """
    if hasattr(record, "model_dump_json"):
        return record.model_dump_json(by_alias=True).encode() + b"\n"  # type: ignore[no-any-return]
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        record = dataclasses.asdict(record)
    if not isinstance(record, Mapping | msgspec.Struct):
        raise SourceUnusable(f"Record {number} is a {type(record).__name__}; records are mappings, models or the like.")
    try:
        return msgspec.json.encode(record) + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise SourceUnusable(f"Record {number} cannot be written as JSON: {error}") from error


def _frame_records(data: Any) -> Callable[[], Iterator[Any]] | None:
    # Duck-typed, so that neither pandas nor polars needs to be installed.
    if hasattr(data, "iter_rows") and hasattr(data, "columns"):
        return lambda: data.iter_rows(named=True)
    if hasattr(data, "to_batches") and hasattr(data, "schema"):  # a table of pyarrow
        return lambda: (record for batch in data.to_batches(_FRAME_ROWS) for record in batch.to_pylist())
    if hasattr(data, "itertuples") and hasattr(data, "isna"):
        return lambda: _pandas_records(data)
    return None


def _pandas_records(frame: Any) -> Iterator[dict[str, Any]]:
    names = [str(name) for name in frame.columns]
    for start in range(0, len(frame), _FRAME_ROWS):
        part = frame.iloc[start : start + _FRAME_ROWS]
        # pandas writes a missing value as NaN, which JSON does not have.
        values = part.astype(object).where(~part.isna(), None)
        for row in values.itertuples(index=False, name=None):
            yield dict(zip(names, map(_python_value, row), strict=True))


def _python_value(value: Any) -> Any:
    if hasattr(value, "to_pydatetime"):
        return value.to_pydatetime()
    return value.item() if hasattr(value, "item") and hasattr(value, "dtype") else value


def _blocks_of(lines: Iterable[bytes]) -> Iterator[bytes]:
    block = bytearray()
    for line in lines:
        block += line
        if len(block) >= _BLOCK_BYTES:
            yield bytes(block)
            block.clear()
    if block:
        yield bytes(block)


def _compressed(compresses: bool) -> BodyKind:
    return BodyKind(BodyFormat.NDJSON, "gzip" if compresses else None)


def _said(format: BodyFormat | None, delimiter: str | None) -> BodyKind:  # noqa: A002
    if format is None:
        raise SourceUnusable(f"Bytes do not say their format: {_GIVE_FORMAT}")
    return BodyKind(format, None, delimiter)


def _with_delimiter(kind: BodyKind, delimiter: str | None) -> BodyKind:
    return kind if delimiter is None else replace(kind, delimiter=delimiter)
