"""Content-Type and first bytes: accepted formats, and messages for others."""

import pytest
from format_samples import SMALL, split

from bulkport.errors import MalformedBody, UnsupportedMediaType
from bulkport.fastapi.error_responses import status_of
from bulkport.imports.formats import BodyFormat, CsvSplitter, NdjsonSplitter, parse_content_type


@pytest.mark.parametrize(
    ("content_type", "body_format"),
    [
        ("application/json", BodyFormat.JSON),
        ("Application/JSON; charset=UTF-8", BodyFormat.JSON),
        ('application/json;charset="utf-8"', BodyFormat.JSON),
        (" application/x-ndjson ; charset=utf8 ;", BodyFormat.NDJSON),
        ("text/csv; header=present", BodyFormat.CSV),
        ('text/csv; header="present"; charset=utf-8', BodyFormat.CSV),
        ("text/csv;;x=1", BodyFormat.CSV),
    ],
)
def test_three_formats_are_known(content_type: str, body_format: BodyFormat) -> None:
    assert parse_content_type(content_type) is body_format
    assert body_format.is_streamed is (body_format is not BodyFormat.JSON)


@pytest.mark.parametrize(
    ("content_type", "message"),
    [
        (None, "A Content-Type is needed: application/json, application/x-ndjson, text/csv,"),
        ("", "A Content-Type is needed"),
        ("application/xml", "send application/json, application/x-ndjson, text/csv"),
        ("application/vnd.api+json", "not supported"),
        ("text/csvx", "not supported"),
        ("json", "not supported"),
        ("multipart/form-data; boundary=x", "not supported"),
        ("application/json; charset=latin-1", "The charset latin-1 is not supported; send UTF-8."),
        ("text/csv; charset=utf-16", "charset utf-16 is not supported"),
        ("application/json charset=utf-8", "malformed"),
        ('application/json; charset="utf-8', "malformed"),
        ("text/csv; header=absent", "needs a header row"),
    ],
)
def test_other_formats_get_415(content_type: str | None, message: str) -> None:
    with pytest.raises(UnsupportedMediaType) as caught:
        parse_content_type(content_type)
    assert message in caught.value.detail
    assert status_of(caught.value) == 415


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16 text; send UTF-8"),
        (b"\xfe\xff" + "a,b\n1,2\n".encode("utf-16-be"), "UTF-16 text; send UTF-8"),
        ("a,b\n1,2\n".encode("utf-16-le"), "NUL bytes at its start"),
        ("a,b\n1,2\n".encode("utf-32"), "UTF-32 text; send UTF-8"),
        (b"\x1f\x8b\x08\x00abc", "gzip data; name it in Content-Encoding"),
        (b"\x28\xb5\x2f\xfdabc", "zstd data; name it in Content-Encoding"),
        (b"PK\x03\x04abc", "spreadsheet file or another ZIP archive"),
        (b"\xd0\xcf\x11\xe0abc", "old spreadsheet file"),
        (b"BZh91AY&SY", "bzip2 data; unpack it"),
        (b"\xfd7zXZ\x00", "xz data; unpack it"),
        (b"7z\xbc\xaf\x27\x1c", "7z archive"),
        (b"%PDF-1.7\n", "is a PDF"),
        (b"\x89PNG\r\n", "is a picture"),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 100])
def test_bodies_of_another_format_are_named(body: bytes, message: str, size: int) -> None:
    for splitter in (NdjsonSplitter(SMALL), CsvSplitter(SMALL)):
        with pytest.raises(MalformedBody) as caught:
            split(splitter, [body[start : start + size] for start in range(0, len(body), size)])
        assert message in caught.value.detail
