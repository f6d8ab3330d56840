"""The JSON envelope: one object with one list of records, such as `{"platforms": [{…}, {…}]}`."""

import codecs
import re
from collections.abc import Generator
from typing import Any, Final

import msgspec

from bulkport.errors import MalformedBody, RecordTooLarge, TooLarge, ValidationFailed
from bulkport.imports.formats.bad_bytes import bad_bytes_message
from bulkport.imports.formats.json_hints import hint
from bulkport.imports.formats.json_values import ValueTooLong, has_many_values, malformed, skip_blanks, value_end
from bulkport.imports.formats.short_envelope import short_envelope
from bulkport.imports.formats.sniffing import SNIFF_BYTES, text_start
from bulkport.imports.resource import Resource
from bulkport.limits import ImportLimits

_WINDOW_BYTES: Final = 64 * 1024
_MOST_MEMBERS: Final = 1000
_MOST_VALUES: Final = 50_000
"""Values in one record: Pydantic reads so many in a few milliseconds."""
_LONGEST_NAME: Final = 64 * 1024
# An object that ends its line, and one more below it.
_LINES: Final = re.compile(rb"\s*\{[^\r\n]*\}[ \t]*[\r\n]\s*\{")
# A first line of words with delimiters between them.
_CSV_LIKE: Final = re.compile(rb"\s*[^\s{}\[\]:,;][^{}\[\]:\r\n]*[,;\t][^{}\[\]:\r\n]*[\r\n]")
_SIDE_BY_SIDE: Final = re.compile(rb"\}\s*\{")
_FLAT_OBJECT: Final = re.compile(rb'\{[^"{}\[\]]*+(?:"(?:[^"\\]++|\\.)*+"[^"{}\[\]]*+)*+\}', re.DOTALL)
_VALUE_SIGNS: Final = b'{["-0123456789tfn'
_VALUE: Final = msgspec.json.Decoder(msgspec.Raw)
_NAME: Final = msgspec.json.Decoder(str)

Steps = Generator[None, None, list[bytes] | None]


def parse_envelope(body: bytes | bytearray, resource: Resource, limits: ImportLimits) -> list[bytes]:
    """The records of an envelope; see `envelope_steps`."""
    *_, records = envelope_steps(body, resource, limits)
    assert records is not None
    return records


def envelope_steps(
    body: bytes | bytearray, resource: Resource, limits: ImportLimits
) -> Generator[list[bytes] | None, None, None]:
    """The records of an envelope, each as its raw JSON on one line (newlines between tokens become spaces).

    Only the envelope and the JSON syntax are checked here, not the records. Other members of the object are
    ignored; of members with the same name the last counts, as in most JSON readers (RFC 8259 §4). However many
    records the body has, no more than `max_envelope_records` + 1 of them are looked at.

    Yields
    ------
    None after each step of some milliseconds at most, and the records at last.

    Raises
    ------
    ValidationFailed
        If the list is missing, null, empty, or has more than `max_envelope_records` records.
    MalformedBody
        If the body is not JSON in UTF-8, is nested too deeply, or is not an object with a list.
    TooLarge
        If the body is larger than `max_envelope_bytes`, a record or all that is beside the list than
        `max_record_bytes`, or a record has too many values in it.
    """
    if len(body) > limits.max_envelope_bytes:
        raise TooLarge(f"The body is larger than {limits.max_envelope_bytes:,} bytes.")
    if not body:
        raise MalformedBody("The body is empty.")
    if short := short_envelope(body, resource.name, limits, most_values=_MOST_VALUES):
        yield short
        return
    yield from _check_encoding(body)
    plural = resource.name.replace("-", " ")
    try:
        records = yield from _Envelope(body, resource, limits).records()
    except MalformedBody as error:
        raise _explained(error, body) from error
    if records is None:
        raise _refused(resource, f"{plural.capitalize()} list cannot be null")
    if not records:
        message = f"{plural.capitalize()} list must contain at least one {resource.label.lower()}"
        raise _refused(resource, message)
    yield records


def _refused(resource: Resource, message: str) -> ValidationFailed:
    return ValidationFailed({resource.name: [message]}, message)


def _check_encoding(body: bytes | bytearray) -> Generator[None, None, None]:
    """Check the UTF-8 in windows: msgspec does not look into the strings it skips."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    view = memoryview(body)
    end = 0
    try:
        for start in range(0, len(body), _WINDOW_BYTES):
            end = min(start + _WINDOW_BYTES, len(body))
            decoder.decode(view[start:end])
            yield
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        text_start(bytes(view[:SNIFF_BYTES]))
        # A character may have begun in the window before.
        at = end - len(error.object) + error.start
        before = bytes(view[max(0, at - 4) : at]).decode(errors="ignore")
        around = before + bytes(view[at : at + 4]).decode(errors="surrogateescape")
        raise MalformedBody(f"The body {bad_bytes_message(around, at=at)}.") from error


def _explained(error: MalformedBody, body: bytes | bytearray) -> MalformedBody:
    """The error with its possible reason."""
    if "not valid JSON" not in error.detail:
        return error
    start = bytes(memoryview(body)[:_WINDOW_BYTES])
    if _LINES.match(start):
        return MalformedBody(
            f"{error.detail} It looks like NDJSON, one object a line: send it as application/x-ndjson."
        )
    if _CSV_LIKE.match(start):
        return MalformedBody(f"{error.detail} It looks like CSV: send it as text/csv.")
    if _SIDE_BY_SIDE.search(start) and "trailing characters" in error.detail:
        return MalformedBody(
            f"{error.detail} It looks like several JSON texts, one after the other: "
            "send one array of them, or each on a line of its own as application/x-ndjson."
        )
    return error


class _Envelope:
    """Reads the object from its first byte to its last."""

    def __init__(self, body: bytes | bytearray, resource: Resource, limits: ImportLimits) -> None:
        self._text = body
        self._view = memoryview(body)
        self._resource = resource
        self._limits = limits
        self._bytes_beside = limits.max_record_bytes

    def records(self) -> Steps:
        """The records of the list; None if there is none."""
        records: list[bytes] | None = None
        at = yield from skip_blanks(self._text, text_start(bytes(self._view[:SNIFF_BYTES])))
        self._require(at, b"{")
        at = yield from skip_blanks(self._text, at + 1)
        members, sign = 0, self._sign(at)
        while members == 0 or sign == b",":
            if members:
                at = yield from skip_blanks(self._text, at + 1)
            elif sign == b"}":
                break
            members += 1
            if members > _MOST_MEMBERS:
                raise MalformedBody(f"The body has more than {_MOST_MEMBERS:,} members.")
            name, at = yield from self._name(at)
            if name == self._resource.name:
                found, at = yield from self._list(at)
                if records and found is not None:
                    raise MalformedBody(f"The body has the list {self._resource.name} twice; send one list.")
                records = found
            else:
                at = yield from self._other(at)
            at = yield from skip_blanks(self._text, at)
            sign = self._sign(at)
            yield
        if sign != b"}":
            raise malformed("expected ',' or '}'", at)
        at = yield from skip_blanks(self._text, at + 1)
        if at < len(self._text):
            raise malformed("trailing characters", at)
        return records

    def _name(self, at: int) -> Generator[None, None, tuple[str, int]]:
        """A member's name, and where its value begins."""
        if self._sign(at) != b'"':
            raise malformed("object keys must be strings", at)
        try:
            end = yield from value_end(self._text, at, most=_LONGEST_NAME)
        except ValueTooLong:
            raise MalformedBody(f"The name of a member is longer than {_LONGEST_NAME:,} bytes.") from None
        name: str = self._decoded(_NAME, bytes(self._view[at:end]), "")
        at = yield from skip_blanks(self._text, end)
        if self._sign(at) != b":":
            raise malformed("expected ':'", at)
        at = yield from skip_blanks(self._text, at + 1)
        return name, at

    def _other(self, at: int) -> Generator[None, None, int]:
        """The end of a member that is ignored."""
        try:
            end = yield from value_end(self._text, at, most=self._bytes_beside)
        except ValueTooLong:
            raise TooLarge(
                f"The members beside {self._resource.name} are larger than {self._limits.max_record_bytes:,} bytes."
            ) from None
        self._bytes_beside -= end - at
        self._decoded(_VALUE, bytes(self._view[at:end]), "")
        return end

    def _list(self, at: int) -> Generator[None, None, tuple[list[bytes] | None, int]]:
        """The records of a list, and its end; None for null."""
        if bytes(self._view[at : at + 4]) == b"null":
            return None, at + 4
        self._require(at, b"[")
        records: list[bytes] = []
        at = yield from skip_blanks(self._text, at + 1)
        if self._sign(at) == b"]":
            return records, at + 1
        while True:
            end = yield from self._record_end(at, len(records) + 1)
            records.append(self._record(bytes(self._view[at:end]), len(records) + 1))
            if len(records) > self._limits.max_envelope_records:
                plural, most = self._resource.name.replace("-", " "), self._limits.max_envelope_records
                raise _refused(self._resource, f"Bulk import cannot exceed {most} {plural} per request")
            at = yield from skip_blanks(self._text, end)
            sign = self._sign(at)
            if sign == b"]":
                return records, at + 1
            if sign != b",":
                raise malformed("expected ',' or ']'", at)
            at = yield from skip_blanks(self._text, at + 1)
            yield

    def _record_end(self, at: int, number: int) -> Generator[None, None, int]:
        flat = _FLAT_OBJECT.match(self._text, at, at + _WINDOW_BYTES)
        if flat is not None:
            return flat.end()
        try:
            return (yield from value_end(self._text, at, most=self._limits.max_record_bytes))
        except ValueTooLong:
            raise self._too_large(number) from None

    def _record(self, record: bytes, number: int) -> bytes:
        if len(record) > self._limits.max_record_bytes:
            raise self._too_large(number)
        if has_many_values(record, _MOST_VALUES):
            raise RecordTooLarge(f"Record {number} has more than {_MOST_VALUES:,} values; send it as NDJSON.")
        self._decoded(_VALUE, record, f" in record {number}")
        # JSON strings hold no raw newline (RFC 8259 §7), so these stand between tokens.
        return record.replace(b"\n", b" ")

    def _too_large(self, number: int) -> RecordTooLarge:
        return RecordTooLarge(f"Record {number} is larger than {self._limits.max_record_bytes:,} bytes.")

    def _decoded(self, decoder: msgspec.json.Decoder[Any], value: bytes, where: str) -> Any:
        try:
            return decoder.decode(value)
        except RecursionError as error:
            raise MalformedBody("The JSON is nested too deeply.") from error
        except msgspec.DecodeError as error:
            detail = str(error).replace("Input data was truncated", "it ends too early")
            raise MalformedBody(f"The body is not valid JSON: {detail}{where}{hint(value)}.") from error

    def _sign(self, at: int) -> bytes:
        return bytes(self._view[at : at + 1])

    def _require(self, at: int, opening: bytes) -> None:
        """Check that an object or a list begins here."""
        sign = self._sign(at)
        if sign == opening:
            return
        if sign and sign in _VALUE_SIGNS:
            raise MalformedBody(f'The body must be an object such as {{"{self._resource.name}": [...]}}.')
        raise malformed("expected a value" if sign else "it ends too early", at)
