"""Splits a JSON array of objects of any length into chunks, without buffering more than one chunk.

A cut is proven, not guessed: msgspec parses all that stands before it as a list, which checks the syntax and shows that
the comma stands between two elements and not inside one.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from bulkport.errors import MalformedBody, RecordTooLarge
from bulkport.imports.formats.chunking import MOST_RECORDS, BodyChunk
from bulkport.imports.formats.json_hints import hint
from bulkport.imports.formats.sniffing import text_start
from bulkport.limits import ImportLimits

_ARRAY: Final = re.compile(rb"[ \t\r\n]*\[[ \t\r\n]*[\{\]]")
_BLANKS: Final = b" \t\r\n"
_ELEMENTS: Final = msgspec.json.Decoder(list[msgspec.Raw])
# Commas inside strings look like those between elements; more than a few in a row are rare.
_MOST_TRIES: Final = 8
_STEP_BYTES: Final = 128 * 1024
"""Parsed at once: a parser in C lets no other thread run meanwhile, and an element may have three bytes."""
_ELEMENT_END: Final = re.compile(rb"\}[ \t\r\n]*,")


def is_array_of_objects(start: bytes) -> bool | None:
    """Whether a body that begins so is an array, empty or of objects; None while that is not known."""
    if _ARRAY.match(start, text_start(start)):
        return True
    rest = start[text_start(start) :].lstrip(_BLANKS)
    return None if not rest or (rest[:1] == b"[" and not rest[1:].strip(_BLANKS)) else False


def _after_the_end(elements: bytes) -> bool:
    """Whether the elements are a whole array with its bracket, and more."""
    try:
        _ELEMENTS.decode(b"[" + elements)
    except RecursionError:
        return False
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return "trailing characters" in str(error)
    return False


class JsonArraySplitter:
    """Cuts the array; see `RecordSplitter`. Elements become records on one line each."""

    def __init__(self, limits: ImportLimits) -> None:
        self._chunk_bytes = limits.chunk_bytes
        self._max_record_bytes = limits.max_record_bytes
        self._buffer = bytearray()
        self._step_bytes = min(_STEP_BYTES, limits.chunk_bytes)
        self._threshold = self._step_bytes
        self._has_begun = False
        self._records = 0
        self._parts: list[bytes] = []
        """Records of the next chunk."""
        self._size = 0

    @property
    def buffered(self) -> int:
        """Bytes that wait to be cut."""
        return len(self._buffer)

    def may_cut(self, data: bytes) -> bool:
        """Whether `feed` may cut with these bytes; else it costs a copy of them."""
        return len(self._buffer) + len(data) >= self._threshold

    def warnings(self) -> list[str]:
        """What was found and passed over: nothing."""
        return []

    def feed(self, data: bytes) -> Iterator[BodyChunk]:
        """See `RecordSplitter.feed`.

        Raises
        ------
        MalformedBody
            Also if the array is not valid JSON.
        """
        rest = memoryview(data)
        while len(self._buffer) + len(rest) >= self._threshold:
            bite = self._threshold - len(self._buffer)
            self._buffer += rest[:bite]
            rest = rest[bite:]
            yield from self._cut()
        self._buffer += rest

    def finish(self) -> Iterator[BodyChunk]:
        """See `RecordSplitter.finish`."""
        block = self._block()
        rest = block.rstrip(_BLANKS)
        elements = self._parsed(rest[:-1]) if rest.endswith(b"]") else "the array is not closed"
        if isinstance(elements, str):
            if _after_the_end(rest):
                elements = "something follows the end of the array"
            raise MalformedBody(f"The body is not valid JSON: {elements}{hint(rest)}.")
        yield from self._chunks(elements)
        if self._parts:
            yield self._chunk()

    def _block(self) -> bytes:
        block = bytes(self._buffer)
        if not self._has_begun:
            block = block[text_start(block) :]
            block = block[block.find(b"[") + 1 :]
            self._has_begun = True
        return block

    def _cut(self) -> Iterator[BodyChunk]:
        block = self._block()
        ends = [found.end() for found in _ELEMENT_END.finditer(block)][-_MOST_TRIES:]
        fault = "an element is not closed"
        for end in reversed(ends):
            elements = self._parsed(block[: end - 1])
            if isinstance(elements, str):
                fault = elements
                continue
            yield from self._chunks(elements)
            self._hold(block[end:])
            return
        if len(block) > 2 * self._max_record_bytes + self._chunk_bytes:
            if "truncated" in fault or fault.startswith("an element"):
                limit = f"{self._max_record_bytes:,} bytes"
                raise RecordTooLarge(f"A record from {self._records + 1} on is larger than {limit}.")
            raise MalformedBody(f"The body is not valid JSON: {fault}{hint(block)}.")
        self._hold(block, least=2 * len(block))

    def _hold(self, rest: bytes, *, least: int = 0) -> None:
        self._buffer = bytearray(rest)
        self._threshold = max(self._step_bytes, least, len(rest) + 1)

    def _parsed(self, elements: bytes) -> list[Any] | str:
        """The elements, or their error."""
        try:
            return _ELEMENTS.decode(b"[" + elements + b"]")
        except RecursionError:
            return "it is nested too deeply"
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return re.sub(r" \(byte \d+\)", "", str(error)) + f", after record {self._records}"

    def _chunks(self, elements: list[Any]) -> Iterator[BodyChunk]:
        for element in elements:
            # JSON strings hold no raw line end (RFC 8259 §7), so these stand between tokens.
            record = bytes(element).replace(b"\n", b" ").replace(b"\r", b" ")
            self._records += 1
            if len(record) > self._max_record_bytes:
                raise RecordTooLarge(f"Record {self._records} is larger than {self._max_record_bytes:,} bytes.")
            self._parts.append(record)
            self._size += len(record) + 1
            if self._size >= self._chunk_bytes or len(self._parts) >= MOST_RECORDS:
                yield self._chunk()

    def _chunk(self) -> BodyChunk:
        records, self._parts, self._size = self._parts, [], 0
        return BodyChunk(b"\n".join(records) + b"\n", len(records))
