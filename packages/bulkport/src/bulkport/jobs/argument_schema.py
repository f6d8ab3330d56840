"""A validator that takes the fields of nested models by name and by alias.

Arguments are stored by name, since an alias for reading may differ from the one for writing.
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import VERSION, TypeAdapter
from pydantic_core import SchemaValidator

_TAKES_FLAGS: Final = tuple(int(part) for part in VERSION.split(".")[:2]) >= (2, 11)
_FLAGS: Final[dict[str, Any]] = {"by_alias": True, "by_name": True} if _TAKES_FLAGS else {}
_HAVE_FIELDS: Final = frozenset({"model-fields", "typed-dict", "dataclass-args", "arguments"})
_DATA: Final = frozenset({"metadata", "serialization", "default", "expected", "config"})
"""Members of a core schema that are no schemas."""


class NameOrAliasValidator:
    """Validates as the adapter does, and takes each field by its name too, whatever its model's configuration says."""

    def __init__(self, adapter: TypeAdapter[Any]) -> None:
        self._validator: Any = adapter.validator
        if not _TAKES_FLAGS:  # Pydantic 2.10
            self._validator = SchemaValidator(_populated_by_name(adapter.core_schema))

    def validate_python(self, given: object) -> Any:
        """Typed values of Python values; raises ValidationError."""
        return self._validator.validate_python(given, **_FLAGS)

    def validate_json(self, given: str | bytes) -> Any:
        """Typed values of a JSON text; raises ValidationError."""
        return self._validator.validate_json(given, **_FLAGS)


def _populated_by_name(part: Any) -> Any:
    if isinstance(part, Mapping):
        found = {key: value if key in _DATA else _populated_by_name(value) for key, value in part.items()}
        if found.get("type") in _HAVE_FIELDS:
            found["populate_by_name"] = True
        return found
    if isinstance(part, tuple):
        return tuple(_populated_by_name(item) for item in part)
    if isinstance(part, list):
        return [_populated_by_name(item) for item in part]
    return part
