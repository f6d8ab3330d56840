"""What a file's name says of its content, and what is stored of it."""

from pathlib import PurePath
from typing import Final

from bulkport.sanitize import storable_text

_ENCODINGS: Final = {".gz": "gzip", ".zst": "zstd"}
_MEDIA_TYPES: Final = {
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".json": "application/json",
    ".jsonl": "application/x-ndjson",
    ".ndjson": "application/x-ndjson",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".xlsm": "application/vnd.ms-excel.sheet.macroenabled.12",
    ".xlsb": "application/vnd.ms-excel.sheet.binary.macroenabled.12",
    ".ods": "application/vnd.oasis.opendocument.spreadsheet",
    ".parquet": "application/vnd.apache.parquet",
}


def media_type_of_name(name: str) -> tuple[str | None, str | None]:
    """Media type and content encoding by a name's suffixes: `rows.csv.gz` is `text/csv` with `gzip`.

    Returns
    -------
    None for what the name does not say.
    """
    path = PurePath(name.lower())
    encoding = _ENCODINGS.get(path.suffix)
    if encoding is not None:
        path = path.with_suffix("")
    return _MEDIA_TYPES.get(path.suffix), encoding


def bare_file_name(said: str) -> str | None:
    """A file's name as somebody else says it, without folders, storable, at most 255 characters; None: none is left.

    What is said may be a path of another system (RFC 6266 §4.3, RFC 7578 §4.2).
    """
    return storable_text(said.replace("\\", "/").rpartition("/")[2].replace("\0", ""))[:255] or None
