"""A body that comes as a form with a file in it (`multipart/form-data`, RFC 7578), read as it arrives.

`curl -F file=@rows.csv` and an HTML form send one. Fields before the file may say how it is read, as query parameters
do; there is one file in a form.
"""

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass, field
from typing import Final

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from bulkport.errors import BadRequest, MalformedBody, UnsupportedMediaType

_MAX_FIELD_BYTES: Final = 4096
_MAX_FIELDS: Final = 100
_BITE: Final = 64 * 1024
_MAX_BOUNDARY: Final = 70
_FILE_WANTED: Final = "send the file as a part with a file name, as curl -F file=@rows.csv does"


@dataclass(slots=True)
class _Part:
    """A part of the form, as far as it has come."""

    headers: dict[str, str] = field(default_factory=dict)
    name: str = ""
    file_name: str | None = None
    content: bytearray = field(default_factory=bytearray)


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


class FormBody:
    """The file in a form.

    Parameters
    ----------
    body:
        The whole form, as it arrives.
    """

    def __init__(self, body: AsyncIterable[bytes], boundary: bytes) -> None:
        self._body = aiter(body)
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
        self._header_name = self._header_value = b""
        self._file: _Part | None = None
        self._has_ended = False
        self.fields: list[tuple[str, str]] = []
        """The form's fields before the file."""

    @property
    def file_name(self) -> str | None:
        """What the client calls the file, without folders."""
        name = self._file.file_name if self._file else None
        return name.replace("\\", "/").rpartition("/")[2].replace("\0", "")[:255] or None if name else None

    @property
    def content_type(self) -> str | None:
        """What the client says the file is."""
        return self._file.headers.get("content-type") if self._file else None

    async def open(self) -> None:
        """Read up to the file.

        Raises
        ------
        UnsupportedMediaType
            The body is no form.
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
            raise MalformedBody("The form ends before its last boundary; nothing was kept. Send it again.")
        if self._file.content:
            yield bytes(self._file.content)

    def _write(self, data: bytes) -> None:
        try:
            for start in range(0, len(data), _BITE):
                self._parser.write(data[start : start + _BITE])
        except MultipartParseError as error:
            if self._file is None:
                raise UnsupportedMediaType(
                    f"The body is not the multipart/form-data that its Content-Type says; {_FILE_WANTED}."
                ) from error
            raise MalformedBody("The multipart/form-data is malformed; nothing was kept.") from error

    def _begin_part(self) -> None:
        self._part = _Part()

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        name = self._header_name.decode("latin-1").strip().lower()
        # Byte for byte: names in it are UTF-8 (RFC 7578 §5.1), which `parse_options_header` gives back as bytes.
        self._part.headers[name] = self._header_value.decode("latin-1").strip()
        self._header_name = self._header_value = b""

    def _begin_content(self) -> None:
        _, parameters = parse_options_header(self._part.headers.get("content-disposition", ""))
        self._part.name = parameters.get(b"name", b"").decode("utf-8", "replace")
        if (file_name := parameters.get(b"filename")) is not None:
            if self._file is not None:
                raise BadRequest("The form has more than one file; send one in each request.")
            self._part.file_name = file_name.decode("utf-8", "replace")
            self._file = self._part

    def _add_content(self, data: bytes, start: int, end: int) -> None:
        if self._part is not self._file and len(self._part.content) + end - start > _MAX_FIELD_BYTES:
            raise BadRequest(f"A field of the form is larger than {_MAX_FIELD_BYTES:,} bytes; {_FILE_WANTED}.")
        self._part.content += memoryview(data)[start:end]

    def _end_part(self) -> None:
        if self._part is self._file or self._file is not None:
            return
        if len(self.fields) >= _MAX_FIELDS:
            raise BadRequest(f"The form has more than {_MAX_FIELDS} fields.")
        self.fields.append((self._part.name, bytes(self._part.content).decode("utf-8", "replace").strip("\r\n")))

    def _end(self) -> None:
        self._has_ended = True
