"""What a client says of an import for itself: a name, an id of its own, and metadata. Bulkport only keeps it."""

import json
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from bulkport.errors import ValidationFailed

MAX_NAME: Final = 200
MAX_CLIENT_ID: Final = 200
MAX_METADATA_BYTES: Final = 4096
MAX_TAGS: Final = 20
MAX_TAG: Final = 100


@dataclass(frozen=True, slots=True)
class ImportLabels:
    """A client's own words about an import.

    Raises
    ------
    ValidationFailed
        One of them is too long, or cannot be stored.
    """

    name: str | None = None
    """For people; need not be unique."""
    client_id: str | None = None
    """Unique among the user's imports: the client finds the import again by it."""
    metadata: dict[str, Any] | None = None
    """A small JSON object."""
    tags: tuple[str, ...] = ()
    """Words that imports are found and counted by; need not be unique."""

    def __post_init__(self) -> None:
        errors = {
            field: [f"{field} {problem}"]
            for field, value, most in (("name", self.name, MAX_NAME), ("clientId", self.client_id, MAX_CLIENT_ID))
            if value is not None and (problem := _problem(value, most))
        }
        object.__setattr__(self, "tags", tuple(dict.fromkeys(self.tags)))
        problem = next((problem for tag in self.tags if (problem := _problem(tag, MAX_TAG))), None)
        if len(self.tags) > MAX_TAGS:
            problem = f"must be given at most {MAX_TAGS} times"
        if problem:
            errors["tag"] = [f"tag {problem}"]
        if errors:
            raise ValidationFailed(errors)


def _problem(value: str, most: int) -> str | None:
    if not value.strip():
        return "must not be blank"
    if len(value) > most:
        return f"must have at most {most} characters"
    if not value.isprintable():
        return "must have printable characters only"
    return None


def parse_metadata(text: str | None, *, source: str) -> dict[str, Any] | None:
    """Metadata from JSON text; None for None.

    Parameters
    ----------
    source:
        Where the client wrote it, for messages: a header, a parameter or a member of a form.

    Raises
    ------
    ValidationFailed
        It is no JSON object, is too large, or has characters that PostgreSQL cannot store.
    """
    if text is None:
        return None
    if len(text.encode("utf-8", "surrogatepass")) > MAX_METADATA_BYTES:
        raise ValidationFailed({source: [f"{source} must have at most {MAX_METADATA_BYTES} bytes"]})
    try:
        value = msgspec.json.decode(text)
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, msgspec.DecodeError, RecursionError):
        raise ValidationFailed({source: [f'{source} must be a JSON object such as {{"batch": "2026-07"}}']}) from None
    if not isinstance(value, dict):
        raise ValidationFailed({source: [f'{source} must be a JSON object such as {{"batch": "2026-07"}}']})
    if "\\u0000" in json.dumps(value):
        raise ValidationFailed({source: [f"{source} must not contain the character U+0000"]})
    return value
