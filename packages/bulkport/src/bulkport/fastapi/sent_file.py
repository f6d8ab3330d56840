"""The file of a bulk request: its body, the file in its form, or a staged upload."""

import asyncio
from collections.abc import AsyncIterable
from dataclasses import dataclass
from typing import Final

from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from bulkport.errors import UnsupportedMediaType, UploadTimedOut, ValidationFailed
from bulkport.fastapi.form_body import QUERY_ONLY, FormBody, form_boundary
from bulkport.fastapi.headers import field_value
from bulkport.fastapi.staged_body import StagedBody
from bulkport.imports.body.options_query import parse_reading
from bulkport.imports.formats import MediaType, media_type_of_part, parse_media_type
from bulkport.imports.formats.file_names import bare_file_name, media_type_of_name
from bulkport.imports.labels import ImportLabels, parse_labels
from bulkport.imports.options import ReadingOptions

_NO_LABELS: Final = ImportLabels()


@dataclass(frozen=True, slots=True)
class SentFile:
    """A file and its declared format."""

    content: AsyncIterable[bytes]
    media_type: MediaType
    content_encoding: str | None
    file_name: str | None
    fields: ReadingOptions
    """The reading options in the fields of its form."""
    labels: ImportLabels = _NO_LABELS
    """The labels in the fields of its form."""

    def reading(self, query: ReadingOptions, defaults: ReadingOptions) -> ReadingOptions:
        """How it is to be read: as the query says, then its form, its type, and the resource."""
        of_type = ReadingOptions(charset=self.media_type.charset, delimiter=self.media_type.delimiter)
        return query.over(self.fields).over(of_type).over(defaults)


async def sent_file(
    request: Request, body: AsyncIterable[bytes], upload: StagedBody | None, *, idle_seconds: float
) -> SentFile:
    """The file of a request.

    Parameters
    ----------
    body:
        The request's body.
    upload:
        The upload that the request names, if any.
    idle_seconds:
        Longest wait for the beginning of a form.

    Raises
    ------
    UnsupportedMediaType
        It is of no kind that is read.
    BadRequest
        A form without a file.
    ValidationFailed
        The form's fields are none that there are.
    UploadTimedOut
        The form does not begin.
    """
    if upload is not None:
        media_type = parse_media_type(upload.content_type)
        name = upload.upload.metadata.get("filename", "").replace("\\", "/").rpartition("/")[2][:255] or None
        return SentFile(upload.content, media_type, upload.content_encoding, name, ReadingOptions())
    content_type = field_value(request.headers, "content-type")
    content_encoding = field_value(request.headers, "content-encoding")
    boundary = form_boundary(content_type)
    if boundary is None:
        name = _disposition_name(field_value(request.headers, "content-disposition"))
        return SentFile(body, parse_media_type(content_type), content_encoding, name, ReadingOptions())
    if (content_encoding or "identity").strip().lower() != "identity":
        raise UnsupportedMediaType("A form is not compressed as a whole; compress the file, and name it .gz or .zst.")
    form = FormBody(body, boundary)
    try:
        async with asyncio.timeout(idle_seconds):
            await form.open()
    except TimeoutError:
        raise UploadTimedOut(f"The form's file did not begin within {idle_seconds:g} seconds.") from None
    name = form.file_name
    _, by_name = media_type_of_name(name or "")
    bare_name = name.rpartition(".")[0] if name and by_name else name
    # The type of a compressed file is that of its compression, which its name says too.
    media_type = media_type_of_part(None if by_name else form.content_type, bare_name)
    if misplaced := [field for field, _ in form.fields if field in QUERY_ONLY]:
        raise ValidationFailed(
            {field: [f"{field} is not a form field: pass it as a query parameter, ?{field}=…"] for field in misplaced}
        )
    return SentFile(form, media_type, by_name, name, parse_reading(form.fields), parse_labels(form.fields))


def _disposition_name(value: str | None) -> str | None:
    _, parameters = parse_options_header(value or "")
    return bare_file_name(parameters.get(b"filename", b"").decode("utf-8", "replace"))
