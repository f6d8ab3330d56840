"""Labels of an import, which clients set and Bulkport only stores: a name, an id and metadata."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from bulkport.errors import ValidationFailed

MAX_NAME: Final = 200
MAX_CLIENT_ID: Final = 200
MAX_METADATA_BYTES: Final = 4096
MAX_METADATA_DEPTH: Final = 16
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

    def over(self, other: "ImportLabels") -> "ImportLabels":
        """These labels, completed by the other ones; tags of both."""
        return ImportLabels(
            name=self.name or other.name,
            client_id=self.client_id or other.client_id,
            metadata=other.metadata if self.metadata is None else self.metadata,
            tags=(*self.tags, *other.tags),
        )


LABEL_FIELDS: Final = frozenset({"name", "clientId", "tag", "metadata"})
"""Parameters, and fields of a form, that are labels."""


def parse_labels(fields: Iterable[tuple[str, str]]) -> ImportLabels:
    """The labels among the fields of a form; fields of other names, and empty ones, are passed over.

    Raises
    ------
    ValidationFailed
        One of them is too long, is given twice, or cannot be stored.
    """
    given = [(name, value) for name, value in fields if name in LABEL_FIELDS and value]
    single = {name: value for name, value in given if name != "tag"}
    if twice := {name for name, value in given if name != "tag" and single[name] != value}:
        raise ValidationFailed({name: [f"{name} is given twice; give it once"] for name in sorted(twice)})
    return ImportLabels(
        name=single.get("name"),
        client_id=single.get("clientId"),
        metadata=parse_metadata(single.get("metadata"), source="metadata"),
        tags=tuple(value for name, value in given if name == "tag"),
    )


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
        It is not a JSON object, is too large or nested too deep, or has characters that PostgreSQL cannot store.
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
    if _depth(value) > MAX_METADATA_DEPTH:
        raise ValidationFailed({source: [f"{source} must be nested at most {MAX_METADATA_DEPTH} levels deep"]})
    if "\\u0000" in json.dumps(value):
        raise ValidationFailed({source: [f"{source} must not contain the character U+0000"]})
    return value


def _depth(value: Any) -> int:
    """How many objects and lists are inside of each other; the parser has bounded it."""
    depth, level = 0, [value]
    while level := [one for one in level if isinstance(one, dict | list)]:
        depth += 1
        level = [inner for one in level for inner in (one.values() if isinstance(one, dict) else one)]
    return depth
