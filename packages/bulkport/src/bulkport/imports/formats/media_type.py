"""Which of the three body formats a Content-Type names (RFC 9110 §8.3)."""

import re
from enum import StrEnum
from typing import Final

from bulkport.errors import UnsupportedMediaType

_WORD: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_TYPE: Final = re.compile(rf"\s*({_WORD}/{_WORD})\s*")
_PARAMETER: Final = re.compile(rf';\s*(?:({_WORD})=(?:({_WORD})|"((?:[^"\\]|\\.)*)")\s*)?')


class BodyFormat(StrEnum):
    """How the records of a body are written."""

    JSON = "json"
    """One JSON object with one list, checked whole (`{"platforms": […]}`)."""
    NDJSON = "ndjson"
    """One JSON object a line, of any number of lines."""
    CSV = "csv"
    """A header row and any number of records (RFC 4180)."""

    @property
    def is_streamed(self) -> bool:
        """Whether the body may have any length and is split as it arrives."""
        return self is not BodyFormat.JSON

    @property
    def media_type(self) -> str:
        """Its media type, without parameters."""
        return _MEDIA_TYPES[self]


_MEDIA_TYPES: Final = {
    BodyFormat.JSON: "application/json",
    BodyFormat.NDJSON: "application/x-ndjson",
    BodyFormat.CSV: "text/csv",
}
_FORMATS: Final = {media_type: body_format for body_format, media_type in _MEDIA_TYPES.items()}


def parse_content_type(content_type: str | None) -> BodyFormat:
    """The format that a Content-Type header names; names and charset are compared without regard to case.

    Raises
    ------
    UnsupportedMediaType
        If there is none, it is malformed, names another format, or names a charset that is not UTF-8.
    """
    if not content_type:
        raise UnsupportedMediaType(f"A Content-Type is needed: {', '.join(_FORMATS)}.")
    found = _TYPE.match(content_type)
    body_format = _FORMATS.get(found[1].lower()) if found else None
    if found is None or body_format is None:
        raise UnsupportedMediaType(f"This Content-Type is not supported; send {', '.join(_FORMATS)}.")
    parameters = _parse_parameters(content_type[found.end() :])
    charset = parameters.get("charset", "utf-8").lower()
    if charset not in {"utf-8", "utf8"}:
        raise UnsupportedMediaType(f"The charset {charset[:40]} is not supported; send UTF-8.")
    if body_format is BodyFormat.CSV and parameters.get("header", "present").lower() == "absent":
        raise UnsupportedMediaType("A CSV body needs a header row; header=absent is not supported.")
    return body_format


def _parse_parameters(text: str) -> dict[str, str]:
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
