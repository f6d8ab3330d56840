"""Types of the API's JSON bodies, query parameters and paths."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import Query
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticKnownError
from starlette.convertors import Convertor, register_url_convertor

from bulkport.errors import JobNotFound, NotFound
from bulkport.identifiers import MAX_BIGINT, ImportId

_ID: Final = re.compile(r"[1-9][0-9]{0,18}")


class WireModel(BaseModel):
    """Base of models with camelCase JSON names; no other names are accepted."""

    # What is written below a field describes it in OpenAPI.
    model_config = ConfigDict(alias_generator=to_camel, use_attribute_docstrings=True)


class WireBody(WireModel):
    """Base of JSON body models that reject unknown members, so that a misspelt one is not lost silently."""

    model_config = ConfigDict(extra="forbid")


class WireQuery(WireModel):
    """Base of models of query parameters. An empty parameter (`?status=&limit=`) is one not given."""

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, values: Any) -> Any:
        return {name: value for name, value in values.items() if value != ""} if isinstance(values, Mapping) else values


class WireView(WireModel):
    """Base of response models, built from objects with attributes of the fields' names."""

    model_config = ConfigDict(from_attributes=True, populate_by_name=True)


def _in_utc(time: datetime) -> datetime:
    return time.astimezone(UTC)


UtcTime = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""A point in time. It is kept in UTC, so in JSON it is ISO 8601 ending in `Z` whatever the database session's zone."""


# RFC 3339 §5.6, with ISO 8601's zone without a colon and without seconds.
_POINT_IN_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d(:?\d\d)?)?)?")
# In a query an unescaped `+` decodes to a space; before a zone a space can only mean that.
_LOST_PLUS: Final = re.compile(r"(\d\d:\d\d(?::\d\d(?:\.\d+)?)?) (\d\d(?::?\d\d)?)")


def _point_in_time(text: object) -> object:
    if not isinstance(text, str):
        return text
    found = _LOST_PLUS.sub(r"\1+\2", text)
    # Pydantic takes a bare number for seconds since 1970.
    if not _POINT_IN_TIME.fullmatch(found):
        raise PydanticKnownError("datetime_parsing", {"error": "not a date and time"})
    return found


PointInTime = Annotated[AwareDatetime, BeforeValidator(_point_in_time)]
"""A point in time as a query parameter: a date, a time and a zone (RFC 3339)."""


def parse_id(text: object) -> int:
    """The id in a path segment.

    Raises
    ------
    NotFound
        If the segment is not a positive 64-bit integer in plain decimal digits: nothing has such an id.
    """
    if isinstance(text, str) and _ID.fullmatch(text) and (value := int(text)) <= MAX_BIGINT:
        return value
    raise NotFound


def parse_job_id(text: object) -> ImportId:
    """The id of an import job in a path segment.

    Raises
    ------
    JobNotFound
        If no import job can have this id.
    """
    try:
        return ImportId(parse_id(text))
    except NotFound:
        raise JobNotFound from None


_ID_SCHEMA: Final[dict[str, Any]] = {"type": "integer", "format": "int64", "minimum": 1, "maximum": MAX_BIGINT}


class DigitsConvertor(Convertor[str]):
    """Path parameters `{job_id:digits}`: what is not a number is another address, such as `/bulk`, and not a bad id."""

    regex = "[0-9]+"

    def convert(self, value: str) -> str:
        """The unchanged text, because Python does not parse numbers with thousands of digits."""
        return value

    def to_string(self, value: str) -> str:
        """The same."""
        return str(value)


register_url_convertor("digits", DigitsConvertor())

PathId = Annotated[int, PlainValidator(parse_id), WithJsonSchema(_ID_SCHEMA)]
"""Path parameter that is an id. An invalid id gets 404, like an unknown one."""

JobId = Annotated[ImportId, PlainValidator(parse_job_id), WithJsonSchema(_ID_SCHEMA)]
"""Path parameter that is the id of an import job."""

Wait = Annotated[int, Query(ge=0, le=600, description="Seconds to wait for the import to finish, at most 60.")]
"""Query parameter that makes a status answer wait."""
