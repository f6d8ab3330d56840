"""Which body format a Content-Type names (RFC 9110 §8.3), and which one a file's name or first bytes do."""

import re
from dataclasses import dataclass
from typing import Final

from bulkport.errors import UnsupportedMediaType
from bulkport.imports.body_format import SPREADSHEET, BodyFormat
from bulkport.imports.charsets import UTF_8, find_charset

_WORD: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_TYPE: Final = re.compile(rf"\s*({_WORD}/{_WORD})\s*")
_PARAMETER: Final = re.compile(rf';\s*(?:({_WORD})=(?:({_WORD})|"((?:[^"\\]|\\.)*)")\s*)?')


@dataclass(frozen=True, slots=True)
class MediaType:
    """What a Content-Type says."""

    format: BodyFormat
    charset: str | None = None
    """As `charsets.find_charset` names it."""
    delimiter: str | None = None
    """Of CSV, where the type says it."""


MULTIPART: Final = "multipart/form-data"
_FORMATS: Final = {
    "application/json": BodyFormat.JSON,
    "application/x-ndjson": BodyFormat.NDJSON,
    "text/csv": BodyFormat.CSV,
    "application/ndjson": BodyFormat.NDJSON,
    "application/jsonl": BodyFormat.NDJSON,
    "application/x-jsonl": BodyFormat.NDJSON,
    "application/jsonlines": BodyFormat.NDJSON,
    "application/x-jsonlines": BodyFormat.NDJSON,
    "application/json-lines": BodyFormat.NDJSON,
    "application/x-json-lines": BodyFormat.NDJSON,
    "application/x-ldjson": BodyFormat.NDJSON,
    "application/json-seq": BodyFormat.JSON_SEQ,
    "application/x-csv": BodyFormat.CSV,
    "text/comma-separated-values": BodyFormat.CSV,
    "application/csv": BodyFormat.CSV,
    "text/x-csv": BodyFormat.CSV,
    "text/tab-separated-values": BodyFormat.CSV,
    SPREADSHEET: BodyFormat.EXCEL,
    "application/vnd.ms-excel.sheet.macroenabled.12": BodyFormat.EXCEL,
    "application/vnd.ms-excel.sheet.binary.macroenabled.12": BodyFormat.EXCEL,
    "application/vnd.oasis.opendocument.spreadsheet": BodyFormat.EXCEL,
    # What Windows calls CSV files too; the first bytes say.
    "application/vnd.ms-excel": BodyFormat.EXCEL,
    "application/vnd.apache.parquet": BodyFormat.PARQUET,
    "application/x-parquet": BodyFormat.PARQUET,
}
_BY_EXTENSION: Final = {
    "csv": BodyFormat.CSV,
    "tsv": BodyFormat.CSV,
    "tab": BodyFormat.CSV,
    "txt": BodyFormat.CSV,
    "json": BodyFormat.JSON,
    "ndjson": BodyFormat.NDJSON,
    "jsonl": BodyFormat.NDJSON,
    "xlsx": BodyFormat.EXCEL,
    "xlsm": BodyFormat.EXCEL,
    "xlsb": BodyFormat.EXCEL,
    "ods": BodyFormat.EXCEL,
    "parquet": BodyFormat.PARQUET,
}
# Types that say nothing of a file; then its name does.
_ANYTHING: Final = frozenset(
    {"application/octet-stream", "text/plain", "application/x-download", "binary/octet-stream"}
)
_TAB_SEPARATED: Final = "text/tab-separated-values"
SUPPORTED: Final = (
    "application/json, application/x-ndjson, text/csv, "
    "an .xlsx, .xlsb or .ods workbook, Parquet, or multipart/form-data"
)


def parse_media_type(content_type: str | None) -> MediaType:
    """What a Content-Type header says; names are compared without regard to case.

    Raises
    ------
    UnsupportedMediaType
        If there is none, it is malformed, names another format, or an unknown charset.
    """
    if not content_type:
        raise UnsupportedMediaType(f"A Content-Type is needed: {SUPPORTED}.")
    found = _TYPE.match(content_type)
    name = found[1].lower() if found else ""
    body_format = _FORMATS.get(name)
    if found is None or body_format is None:
        raise UnsupportedMediaType(f"This Content-Type is not supported; send {SUPPORTED}.")
    parameters = parse_parameters(content_type[found.end() :])
    charset = None
    if said := parameters.get("charset"):
        charset = find_charset(said)
        if charset is None:
            raise UnsupportedMediaType(f"The charset {said[:40]} is not supported; send UTF-8, or name another one.")
    if body_format is BodyFormat.CSV and parameters.get("header", "present").lower() == "absent":
        raise UnsupportedMediaType("A CSV body needs a header row; header=absent is not supported.")
    return MediaType(body_format, charset, "\t" if name == _TAB_SEPARATED else None)


def parse_content_type(content_type: str | None) -> BodyFormat:
    """The format of a body in UTF-8 that a Content-Type header names.

    Raises
    ------
    UnsupportedMediaType
        As `parse_media_type`; also if it names a charset that is not UTF-8.
    """
    media_type = parse_media_type(content_type)
    if media_type.charset not in (None, UTF_8):
        said = parse_parameters((content_type or "").partition(";")[2].join((";", "")))["charset"]
        raise UnsupportedMediaType(f"The charset {said[:40]} is not supported; send UTF-8.")
    return media_type.format


def media_type_of_part(content_type: str | None, file_name: str | None) -> MediaType:
    """What a file in a form is: by its type, unless that says nothing, then by its name.

    Raises
    ------
    UnsupportedMediaType
        If neither says it.
    """
    bare = (content_type or "").partition(";")[0].strip().lower()
    if bare and bare not in _ANYTHING and bare in _FORMATS:
        return parse_media_type(content_type)
    extension = (file_name or "").rpartition(".")[2].lower()
    body_format = _BY_EXTENSION.get(extension)
    if body_format is None:
        raise UnsupportedMediaType(
            f"What the file is can be told neither by its type nor by its name; send {SUPPORTED}, "
            "or name it .csv, .json, .ndjson, .xlsx or .parquet."
        )
    charset = None
    if content_type and (found := _TYPE.match(content_type)):
        charset = find_charset(parse_parameters(content_type[found.end() :]).get("charset", ""))
    return MediaType(body_format, charset, "\t" if extension in ("tsv", "tab") else None)


def parse_parameters(text: str) -> dict[str, str]:
    """The parameters of a header field, what stands after its first word; by names in lower case.

    Raises
    ------
    UnsupportedMediaType
        If they are malformed.
    """
    parameters: dict[str, str] = {}
    position = 0
    while position < len(text):
        found = _PARAMETER.match(text, position)
        if found is None:
            raise UnsupportedMediaType("The Content-Type is malformed.")
        name, token, quoted = found.groups()
        if name:
            value = token if token is not None else re.sub(r"\\(.)", r"\1", quoted)
            parameters.setdefault(name.lower(), value)
        position = found.end()
    return parameters
