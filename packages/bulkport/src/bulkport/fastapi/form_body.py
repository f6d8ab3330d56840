"""A body that comes as a form with a file in it (`multipart/form-data`, RFC 7578), read as it arrives.

`curl -F file=@rows.csv` and an HTML form send one. Fields before the file may say how it is read, as query parameters
do; there is one file in a form.
"""

import re
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote_to_bytes

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from bulkport.errors import BadRequest, MalformedBody, UnsupportedMediaType
from bulkport.imports.body.options_query import is_reading_parameter
from bulkport.imports.charsets import find_charset
from bulkport.imports.formats.file_names import bare_file_name
from bulkport.imports.labels import LABEL_FIELDS

QUERY_ONLY: Final = frozenset({"mode", "dryRun", "results", "startAt"})
"""Parameters that decide about the import before its body is read, and so are not fields of a form."""
_MAX_FIELD_BYTES: Final = 4096
_MAX_FIELDS: Final = 100
_MAX_PARTS: Final = 200
"""Fields, inputs without a file and the file: each costs the event loop some microseconds, however small it is."""
_MAX_HEAD_BYTES: Final = 16 * 1024
"""Headers of one part."""
_BITE: Final = 64 * 1024
_MAX_BOUNDARY: Final = 70
_MAX_PREAMBLE: Final = 64 * 1024
_EXTENDED_NAME: Final = re.compile(r";\s*filename\*\s*=\s*([\w.-]+)'[\w-]*'([^;\s\"]+)", re.IGNORECASE)
_PLAIN_TRANSFER: Final = frozenset({"", "7bit", "8bit", "binary"})
_FILE_WANTED: Final = "send the file as a part with a file name, as curl -F file=@rows.csv does"


@dataclass(slots=True)
class _Part:
    """A part of the form, as far as it has arrived."""

    headers: dict[str, str] = field(default_factory=dict)
    name: str = ""
    file_name: str | None = None
    content: bytearray = field(default_factory=bytearray)
    head_bytes: int = 0


def form_boundary(content_type: str | None) -> bytes | None:
    """The boundary of a Content-Type that is `multipart/form-data`; None for other types.

    Raises
    ------
    UnsupportedMediaType
        It has no usable boundary.
    """
    kind, parameters = parse_options_header(content_type or "")
    if kind.strip().lower() != b"multipart/form-data":
        return None
    boundary = parameters.get(b"boundary", b"")
    if not 0 < len(boundary) <= _MAX_BOUNDARY:
        raise UnsupportedMediaType("The Content-Type multipart/form-data needs a boundary of 1 to 70 characters.")
    return boundary


def _file_name(disposition: str, plain: bytes | None) -> str | None:
    """The name in a Content-Disposition: that of `filename*` (RFC 8187), which the other one is a fallback for."""
    if found := _EXTENDED_NAME.search(disposition):
        charset = find_charset(found[1]) or "utf-8"
        return unquote_to_bytes(found[2]).decode(charset, "replace")
    return None if plain is None else plain.decode("utf-8", "replace")


class FormBody:
    """The file in a form.

    Parameters
    ----------
    body:
        The whole form, as it arrives.
    """

    def __init__(self, body: AsyncIterable[bytes], boundary: bytes) -> None:
        self._body = aiter(body)
        self._delimiter = b"--" + boundary
        self._preamble: bytearray | None = bytearray()
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_field": self._add_header_name,
                "on_header_value": self._add_header_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._begin_content,
                "on_part_data": self._add_content,
                "on_part_end": self._end_part,
                "on_end": self._end,
            },
        )
        self._part = _Part()
        self._parts = 0
        self._header_name = self._header_value = b""
        self._file: _Part | None = None
        self._has_ended = False
        self.fields: list[tuple[str, str]] = []
        """The form's fields before the file."""

    @property
    def file_name(self) -> str | None:
        """What the client calls the file, without folders."""
        name = self._file.file_name if self._file else None
        return bare_file_name(name) if name else None

    @property
    def content_type(self) -> str | None:
        """What the client says the file is."""
        return self._file.headers.get("content-type") if self._file else None

    async def open(self) -> None:
        """Read up to the file.

        Raises
        ------
        UnsupportedMediaType
            The body is not a form.
        BadRequest
            There is no file in it, or its fields are too large.
        """
        while self._file is None:
            data = await anext(self._body, None)
            if data is None:
                if not self._has_ended:
                    raise UnsupportedMediaType(
                        f"The body is not the multipart/form-data that its Content-Type says; {_FILE_WANTED}."
                    )
                raise BadRequest(f"The form has no file; {_FILE_WANTED}.")
            self._write(data)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The file's content, up to the end of the form."""
        assert self._file is not None
        while True:
            if self._file.content:
                content = bytes(self._file.content)
                self._file.content.clear()
                yield content
            data = await anext(self._body, None)
            if data is None:
                break
            self._write(data)
        if not self._has_ended:
            raise MalformedBody("The form ends before its last boundary; nothing was stored. Send it again.")
        if self._file.content:
            yield bytes(self._file.content)

    def _write(self, data: bytes) -> None:
        if self._preamble is not None:
            # The preamble before the first boundary is not a part (RFC 2046 §5.1.1); the parser accepts none.
            self._preamble += data
            begin = self._preamble.find(self._delimiter)
            if begin < 0 and len(self._preamble) < _MAX_PREAMBLE:
                return
            data, self._preamble = bytes(self._preamble[max(begin, 0) :]), None
        try:
            for start in range(0, len(data), _BITE):
                self._parser.write(data[start : start + _BITE])
        except MultipartParseError as error:
            if self._file is None:
                raise UnsupportedMediaType(
                    f"The body is not the multipart/form-data that its Content-Type says; {_FILE_WANTED}."
                ) from error
            raise MalformedBody("The multipart/form-data is malformed; nothing was stored.") from error

    def _begin_part(self) -> None:
        self._part = _Part()
        self._parts += 1
        if self._parts > _MAX_PARTS:
            raise BadRequest(f"The form has more than {_MAX_PARTS} parts.")

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._count_head(end - start)
        self._header_name += data[start:end]

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._count_head(end - start)
        self._header_value += data[start:end]

    def _count_head(self, size: int) -> None:
        self._part.head_bytes += size
        if self._part.head_bytes > _MAX_HEAD_BYTES:
            raise BadRequest(f"The headers of a part of the form are larger than {_MAX_HEAD_BYTES:,} bytes.")

    def _end_header(self) -> None:
        name = self._header_name.decode("latin-1").strip().lower()
        # Byte for byte: names in it are UTF-8 (RFC 7578 §5.1), which `parse_options_header` gives back as bytes.
        self._part.headers[name] = self._header_value.decode("latin-1").strip()
        self._header_name = self._header_value = b""

    def _begin_content(self) -> None:
        disposition = self._part.headers.get("content-disposition", "")
        _, parameters = parse_options_header(disposition)
        self._part.name = parameters.get(b"name", b"").decode("utf-8", "replace")
        self._part.file_name = _file_name(disposition, parameters.get(b"filename"))
        is_file = self._part.file_name is not None
        # Programs send the part named `file` with a type and without a name.
        is_file = is_file or (self._part.name == "file" and "content-type" in self._part.headers)
        # A browser sends an input for which no file was chosen as an empty part with an empty name.
        if is_file and self._part.file_name != "":
            self._open_file()

    def _open_file(self) -> None:
        if self._file is not None:
            raise BadRequest("The form has more than one file; send one in each request.")
        encoding = self._part.headers.get("content-transfer-encoding", "").lower()
        if encoding not in _PLAIN_TRANSFER:
            raise UnsupportedMediaType(
                f"The file's Content-Transfer-Encoding {encoding[:40]} is not supported; send its bytes as they are."
            )
        self._file = self._part

    def _add_content(self, data: bytes, start: int, end: int) -> None:
        if self._part.file_name == "" and self._part is not self._file:
            self._open_file()
        if self._part is not self._file and len(self._part.content) + end - start > _MAX_FIELD_BYTES:
            raise BadRequest(f"A field of the form is larger than {_MAX_FIELD_BYTES:,} bytes; {_FILE_WANTED}.")
        self._part.content += memoryview(data)[start:end]

    def _end_part(self) -> None:
        if self._part is self._file or self._part.file_name == "":
            return
        if self._file is not None:
            if is_reading_parameter(self._part.name) or self._part.name in LABEL_FIELDS | QUERY_ONLY:
                raise BadRequest(
                    f"The form's field {self._part.name} comes after the file, which was read without it; "
                    "put it before the file."
                )
            return
        if len(self.fields) >= _MAX_FIELDS:
            raise BadRequest(f"The form has more than {_MAX_FIELDS} fields.")
        self.fields.append((self._part.name, bytes(self._part.content).decode("utf-8", "replace").strip("\r\n")))

    def _end(self) -> None:
        self._has_ended = True
