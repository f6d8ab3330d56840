"""What a file's name says of its content."""

from pathlib import PurePath
from typing import Final

_ENCODINGS: Final = {".gz": "gzip", ".zst": "zstd"}
_MEDIA_TYPES: Final = {
    ".csv": "text/csv",
    ".tsv": "text/csv",
    ".json": "application/json",
    ".jsonl": "application/x-ndjson",
    ".ndjson": "application/x-ndjson",
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
