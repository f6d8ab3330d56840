"""A marker for text that must say something."""

from typing import Any, Final

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

NOT_BLANK_PATTERN: Final = r"\S"
"""The pattern behind `NotBlank`, as it stands in Pydantic's core schema and in JSON Schema."""


class NotBlank:
    """Refuses text that is empty or whitespace only: `Annotated[str, NotBlank, Field(max_length=100)]`.

    It is a pattern in the text's own schema rather than a Python function, so Pydantic checks it natively, it shows in
    OpenAPI, and the fast lane knows it. With a `pattern` of your own, put `NotBlank` after it.
    """

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        if schema["type"] == "str" and "pattern" not in schema:
            return {**schema, "pattern": NOT_BLANK_PATTERN}
        return core_schema.chain_schema([schema, core_schema.str_schema(pattern=NOT_BLANK_PATTERN)])
