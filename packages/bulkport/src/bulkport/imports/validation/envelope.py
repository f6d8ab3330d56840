"""Validates all rows of a JSON envelope before it is accepted."""

from collections.abc import Iterator, Sequence
from typing import Final

from bulkport.imports.resource import Resource
from bulkport.imports.validation.chunk_validator import ChunkValidator
from bulkport.imports.values.options import PLAIN, ValueOptions

_STEP_BYTES: Final = 64 * 1024


def validate_envelope(
    records: Sequence[bytes], resource: Resource, options: ValueOptions = PLAIN
) -> dict[str, list[str]]:
    """What is wrong with the rows of an envelope; see `validation_steps`."""
    *_, found = validation_steps(records, resource, options)
    assert found is not None
    return found


def validation_steps(
    records: Sequence[bytes], resource: Resource, options: ValueOptions = PLAIN
) -> Iterator[dict[str, list[str]] | None]:
    """What is wrong with the rows of an envelope.

    Parameters
    ----------
    records:
        The rows as raw JSON, in order.
    options:
        How values are written.

    Yields
    ------
    None after each step of some milliseconds at most, and at last messages by path, such as
    `platforms[3].platformName` (counted from 0), or `platforms[3]` for the whole row; empty when all rows are valid.
    """
    validator = ChunkValidator(resource, streamed=False, options=options)
    found: dict[str, list[str]] = {}
    start = 0
    while start < len(records):
        stop, size = start, 0
        while stop < len(records) and (stop == start or size < _STEP_BYTES):
            size += len(records[stop])
            stop += 1
        for row in validator.finish(validator.decode_json(records[start:stop], start), {}).errors:
            for error in row.errors:
                path = f"{resource.name}[{row.row}]"
                found.setdefault(f"{path}.{error.field}" if error.field else path, []).append(error.message)
        start = stop
        yield None
    yield found
