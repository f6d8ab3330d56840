"""The format of a body's records."""

from enum import StrEnum
from typing import Final

SPREADSHEET: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class BodyFormat(StrEnum):
    """The format of a body's records."""

    JSON = "json"
    """One JSON object with one list, checked whole (`{"platforms": […]}`)."""
    NDJSON = "ndjson"
    """One JSON object a line, of any number of lines."""
    CSV = "csv"
    """A header row and any number of records (RFC 4180)."""
    JSON_ARRAY = "json-array"
    """One JSON array of any number of objects."""
    JSON_SEQ = "json-seq"
    """A JSON text sequence (RFC 7464)."""
    EXCEL = "excel"
    """A workbook: .xlsx, .xlsm, .xlsb or .ods."""
    PARQUET = "parquet"
    """An Apache Parquet file."""

    @property
    def is_streamed(self) -> bool:
        """Whether the body may have any length and is split as it arrives."""
        return self is not BodyFormat.JSON

    @property
    def is_table(self) -> bool:
        """Whether records are cells of text below a header."""
        return self in (BodyFormat.CSV, BodyFormat.EXCEL)

    @property
    def media_type(self) -> str:
        """Its media type, without parameters."""
        return _MEDIA_TYPES[self]


_MEDIA_TYPES: Final = {
    BodyFormat.JSON: "application/json",
    BodyFormat.NDJSON: "application/x-ndjson",
    BodyFormat.CSV: "text/csv",
    BodyFormat.JSON_ARRAY: "application/json",
    BodyFormat.JSON_SEQ: "application/json-seq",
    BodyFormat.EXCEL: SPREADSHEET,
    BodyFormat.PARQUET: "application/vnd.apache.parquet",
}
