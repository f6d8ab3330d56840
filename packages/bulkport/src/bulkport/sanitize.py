"""Text and JSON as PostgreSQL can store them: `text` has no NUL and no lone surrogate, `jsonb` no NaN either."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from pydantic_core import PydanticSerializationError, to_jsonable_python

JSONValue: TypeAlias = "str | int | float | bool | Sequence[JSONValue] | Mapping[str, JSONValue] | None"
"""What JSON is made of, and so the arguments and results of background jobs."""

_ENCODER: Final = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"))
HALF_A_PAIR: Final = "not storable: text with half of a surrogate pair"


class NotStorable(ValueError):
    """A value cannot be stored as JSON."""


def storable_text(text: str, most: int | None = None) -> str:
    """`text`, cut to `most` characters if given, with a replacement for each character that PostgreSQL refuses."""
    if most is not None and len(text) > most:
        text = text[: most - 1] + "…"
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def is_storable_text(text: str) -> bool:
    """Whether PostgreSQL can store a text unchanged."""
    return storable_text(text) == text


def storable_json(value: Any, *, most_bytes: int) -> JSONValue:
    """`value` as JSON, with dates, UUIDs, enums, dataclasses, models and the like in their usual notation.

    Raises
    ------
    NotStorable
        It is not JSON, not storable in a `jsonb` column, or its text is longer than `most_bytes`.
    """
    try:
        plain: JSONValue = to_jsonable_python(value)
    except UnicodeEncodeError:
        raise NotStorable(HALF_A_PAIR) from None
    except (PydanticSerializationError, ValueError) as error:
        raise NotStorable(f"not JSON: {error}") from None
    size = len(require_storable(plain))
    if size > most_bytes:
        raise NotStorable(f"{size:,} bytes of JSON are more than the {most_bytes:,} allowed")
    return plain


def require_storable(value: JSONValue) -> bytes:
    """The text of a JSON value that a `jsonb` column takes.

    Raises
    ------
    NotStorable
        It holds NaN, an infinity, a NUL character or a lone surrogate.
    """
    try:
        text = _ENCODER.encode(value).encode()
    except UnicodeEncodeError:
        raise NotStorable(HALF_A_PAIR) from None
    except (TypeError, ValueError, RecursionError) as error:
        raise NotStorable(f"not JSON: {error}") from None
    # The escape may also stand for a backslash and five characters; only then is a closer look needed.
    if b"\\u0000" in text and _has_nul(value):
        raise NotStorable("not storable: text with a NUL character")
    return text


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_has_nul(part) for pair in value.items() for part in pair)
    return isinstance(value, list | tuple) and any(map(_has_nul, value))
