"""A marker for text that must say something."""

import re
from collections.abc import Sequence
from itertools import compress, count
from typing import Any, Final

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

_INVISIBLE: Final = (
    r"\u00AD\u034F\u061C\u115F\u1160\u180E\u200B-\u200F\u202A-\u202E\u2060-\u206F\u2800\u3164\uFEFF\uFFA0"
)
NOT_BLANK_PATTERN: Final = rf"[^\s{_INVISIBLE}]"
"""The pattern behind `NotBlank`, as it stands in Pydantic's core schema and in JSON Schema: a character that is seen.

Besides spaces it passes over the characters without width or ink: joiners, marks of direction, fillers, the byte order
mark.
"""
_VISIBLE: Final = re.compile(NOT_BLANK_PATTERN)
_SIGNS: Final = re.compile(f"[{_INVISIBLE}]")


def is_blank(text: str) -> bool:
    """Whether nothing of a text is seen."""
    return not _VISIBLE.search(text)


def blank_positions(texts: Sequence[str | None]) -> set[int]:
    """Positions of the texts in which nothing is seen; the empty text is not among them."""
    try:
        # `isspace` knows every space that `\\s` knows, and is false for empty text.
        blank = set(compress(count(), map(str.isspace, texts)))  # type: ignore[arg-type] # a null raises
        whole = "".join(texts)  # type: ignore[arg-type]
    except TypeError:
        blank = set(compress(count(), [text is not None and text.isspace() for text in texts]))
        whole = "".join(filter(None, texts))
    if not whole.isascii() and _SIGNS.search(whole):
        blank.update(position for position, text in enumerate(texts) if text and is_blank(text))
    return blank


class NotBlank:
    """Refuses text that is empty or whitespace only: `Annotated[str, NotBlank, Field(max_length=100)]`.

    It is a pattern in the text's own schema rather than a Python function, so Pydantic checks it natively, it shows in
    OpenAPI, and the fast path knows it. With a `pattern` of your own, put `NotBlank` after it.
    """

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        if schema["type"] == "str" and "pattern" not in schema:
            return {**schema, "pattern": NOT_BLANK_PATTERN}
        return core_schema.chain_schema([schema, core_schema.str_schema(pattern=NOT_BLANK_PATTERN)])
