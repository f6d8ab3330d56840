"""Splits the records of a JSON envelope into chunks, in short steps."""

from collections.abc import Generator, Iterator
from typing import TypeVar

from bulkport.errors import ValidationFailed
from bulkport.imports.body.member_names import MemberNames
from bulkport.imports.body.upload import Upload
from bulkport.imports.formats import BodyChunk, Handling, envelope_steps
from bulkport.imports.validation import validation_steps
from bulkport.imports.values.options import ValueOptions
from bulkport.limits import ImportLimits

_Result = TypeVar("_Result")


def envelope_chunks(whole: bytes | bytearray, upload: Upload, limits: ImportLimits) -> Iterator[list[BodyChunk] | None]:
    """The records of an envelope, under the names of their fields and checked, as chunks; None after each step."""
    records = yield from _result(envelope_steps(whole, upload.resource, limits))
    if rename := MemberNames(upload.resource, upload.reading):
        records = yield from _result(_renamed(records, rename))
    if upload.handling is not Handling.LENIENT:
        options = ValueOptions.of(upload.reading)
        if errors := (yield from _result(validation_steps(records, upload.resource, options))):
            raise ValidationFailed(errors)
    yield from _chunks(records, limits.chunk_bytes)


def _result(steps: Iterator[_Result | None]) -> Generator[None, None, _Result]:
    """What steps give at last; None is passed on after each of those before it."""
    for result in steps:
        if result is not None:
            return result
        yield
    raise AssertionError("steps give a result at last")


def _renamed(records: list[bytes], rename: MemberNames) -> Iterator[list[bytes] | None]:
    """The records under the names of their fields, record by record."""
    renamed: list[bytes] = []
    for record in records:
        renamed.append(rename(record))
        yield None
    yield renamed


def _chunks(records: list[bytes], chunk_bytes: int) -> Iterator[list[BodyChunk] | None]:
    """Records of an envelope as chunks of about `chunk_bytes`, chunk by chunk."""
    if sum(map(len, records)) + len(records) <= chunk_bytes:
        yield [BodyChunk(b"\n".join(records), len(records))]
        return
    chunks: list[BodyChunk] = []
    start = size = 0
    for position, record in enumerate(records):
        size += len(record) + 1
        if size > chunk_bytes or position == len(records) - 1:
            part = records[start : position + 1]
            chunks.append(BodyChunk(b"\n".join(part), len(part)))
            start, size = position + 1, 0
            yield None
    yield chunks
