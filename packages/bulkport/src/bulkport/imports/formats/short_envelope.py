"""Parses the usual envelope in one call: short, well formed, and with little beside its list.

A parser written in C reads the whole of it in a fraction of a millisecond, where `envelope_steps` takes some
microseconds for each record. It checks nothing: whatever is odd is left to those steps, which say what it is.
"""

from functools import lru_cache
from typing import Any, Final

import msgspec

from bulkport.limits import ImportLimits

LONGEST: Final = 256 * 1024
"""Bytes that the parser reads in about a millisecond."""
_BESIDE: Final = 1024
_AROUND_RECORD: Final = 3


def short_envelope(body: bytes | bytearray, name: str, limits: ImportLimits, *, most_values: int) -> list[bytes] | None:
    """The records of a usual envelope, each as its raw JSON on one line.

    Parameters
    ----------
    name:
        The member that has the list.
    most_values:
        Values that a record may have; a record of no more bytes cannot have more.

    Returns
    -------
    None if the body is not short, is no such envelope, or has anything that a limit might refuse.
    """
    if len(body) > min(LONGEST, limits.max_envelope_bytes):
        return None
    try:
        # The parser does not look into the strings that it passes over.
        body.decode()
        if body.count(f'"{name}"'.encode()) > 1:  # perhaps two lists
            return None
        found = _decoder(name).decode(body).records
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError):
        return None
    if not found or len(found) > limits.max_envelope_records:
        return None
    records = [bytes(record) for record in found]
    if max(map(len, records)) > min(most_values, limits.max_record_bytes):
        return None
    if len(body) - sum(map(len, records)) - _AROUND_RECORD * len(records) > min(_BESIDE, limits.max_record_bytes):
        return None
    # JSON strings hold no raw newline (RFC 8259 §7), so these stand between tokens.
    return [record.replace(b"\n", b" ") for record in records] if b"\n" in body else records


@lru_cache
def _decoder(name: str) -> msgspec.json.Decoder[Any]:
    envelope = msgspec.defstruct(
        "Envelope", [("records", list[msgspec.Raw], msgspec.field(name=name))], gc=False, forbid_unknown_fields=False
    )
    return msgspec.json.Decoder(envelope)
