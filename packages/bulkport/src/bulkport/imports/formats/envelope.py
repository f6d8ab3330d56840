"""The JSON envelope: one object with one list of records, such as `{"platforms": [{…}, {…}]}`."""

import codecs
import re
from functools import lru_cache
from typing import Any, Final

import msgspec

from bulkport.errors import MalformedBody, RecordTooLarge, TooLarge, ValidationFailed
from bulkport.imports.formats.sniffing import text_start
from bulkport.imports.resource import Resource
from bulkport.limits import ImportLimits

_WINDOW_BYTES: Final = 64 * 1024
# An object that ends its line, and one more below it.
_LINES: Final = re.compile(rb"\s*\{[^\r\n]*\}[ \t]*[\r\n]\s*\{")
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")


def parse_envelope(body: bytes, resource: Resource, limits: ImportLimits) -> list[bytes]:
    """The records of an envelope, each as its raw JSON on one line (newlines between tokens become spaces).

    Only the envelope and the JSON syntax are judged here, not the records. Other members of the object are
    ignored; of members with the same name the last counts, as in most JSON readers (RFC 8259 §4). However many
    records or members the body has, no more than `max_envelope_records` + 1 of them are held.

    Raises
    ------
    ValidationFailed
        If the list is missing, null, empty, or has more than `max_envelope_records` records.
    MalformedBody
        If the body is not JSON in UTF-8, is nested too deeply, or is not an object with a list.
    TooLarge
        If the body is larger than `max_envelope_bytes`, or a record than `max_record_bytes`.
    """
    if len(body) > limits.max_envelope_bytes:
        raise TooLarge(f"The body is larger than {limits.max_envelope_bytes:,} bytes.")
    if not body:
        raise MalformedBody("The body is empty.")
    _check_encoding(body)
    if start := text_start(body):
        body = body[start:]
    found = _decode(body, resource, limits.max_envelope_records)
    plural = resource.name.replace("-", " ")
    if found is None:
        raise _refused(resource, f"{plural.capitalize()} list cannot be null")
    if not found:
        message = f"{plural.capitalize()} list must contain at least one {resource.label.lower()}"
        raise _refused(resource, message)
    if len(found) > limits.max_envelope_records:
        message = f"Bulk import cannot exceed {limits.max_envelope_records} {plural} per request"
        raise _refused(resource, message)
    records = list(map(bytes, found))
    sizes = list(map(len, records))
    if (largest := max(sizes)) > limits.max_record_bytes:
        number = sizes.index(largest) + 1
        raise RecordTooLarge(f"Record {number} is larger than {limits.max_record_bytes:,} bytes.")
    if b"\n" in body:
        # JSON strings hold no raw newline (RFC 8259 §7), so these stand between tokens.
        records = [record.replace(b"\n", b" ") for record in records]
    return records


def _refused(resource: Resource, message: str) -> ValidationFailed:
    return ValidationFailed({resource.name: [message]}, message)


def _check_encoding(body: bytes) -> None:
    """Check the UTF-8 in windows: msgspec does not look into the strings it skips."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    view = memoryview(body)
    try:
        for start in range(0, len(body), _WINDOW_BYTES):
            decoder.decode(view[start : start + _WINDOW_BYTES])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        text_start(body)
        raise MalformedBody("The body is not valid UTF-8.") from error


def _decode(body: bytes, resource: Resource, max_records: int) -> list[msgspec.Raw] | None:
    try:
        envelope = _decoder(resource.name, max_records).decode(body)
    except msgspec.ValidationError as error:
        raise MalformedBody(f'The body must be an object such as {{"{resource.name}": [...]}}.') from error
    except RecursionError as error:
        raise MalformedBody("The JSON is nested too deeply.") from error
    except msgspec.DecodeError as error:
        detail = str(error)
        if _SURROGATE.search(body):
            detail += "; or an escaped surrogate has no partner"
        if _LINES.match(body):
            raise MalformedBody(
                f"The body is not valid JSON: {detail}. It looks like NDJSON, one object a line: "
                "send it as application/x-ndjson."
            ) from error
        raise MalformedBody(f"The body is not valid JSON: {detail}.") from error
    if envelope.records is None:
        return None
    return [record for record in msgspec.structs.astuple(envelope.records) if record is not msgspec.UNSET]


@lru_cache(maxsize=64)
def _decoder(member: str, max_records: int) -> msgspec.json.Decoder[Any]:
    """A decoder of the envelope that keeps the first `max_records` + 1 records and skips the others.

    A list type would hold every record of the body, and 32 MiB of `[1,1,1,…]` are a gigabyte of list. A struct
    that stands for an array has one slot for each record it may keep, and msgspec skips what has no slot.
    """
    slots = [(f"record_{number}", msgspec.Raw, msgspec.UNSET) for number in range(max_records + 1)]
    first_records = msgspec.defstruct("FirstRecords", slots, array_like=True, gc=False)
    envelope = msgspec.defstruct(
        "Envelope", [("records", first_records | None, None)], rename={"records": member}, gc=False
    )
    return msgspec.json.Decoder(envelope)
