"""Converts Pydantic's errors to messages by field path."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

from pydantic_core import ErrorDetails

from bulkport.imports.validation.messages import describe, sentence


def messages_by_path(errors: Iterable[Mapping[str, Any]], skip: int = 0) -> dict[str, list[str]]:
    """What is wrong with each field, in the order it was found.

    Parameters
    ----------
    errors:
        What `errors()` of Pydantic's `ValidationError` or of FastAPI's `RequestValidationError` returns.
    skip:
        How many leading members of each location are not part of the path. FastAPI's locations begin with `query`,
        `path`, `header` or `body`: 1.

    Returns
    -------
    dict
        Messages by path, such as `{"platforms[3].platformName": ["platformName must not be blank"]}`. What is wrong
        with the whole is under the empty path.
    """
    found: dict[str, list[str]] = {}
    for error in errors:
        path = field_path(error["loc"][skip:])
        message = sentence(path.rpartition(".")[2], describe(cast("ErrorDetails", error)))
        messages = found.setdefault(path, [])
        if message not in messages:
            messages.append(message)
    return found


def field_path(location: Iterable[str | int]) -> str:
    """A location as programs write it: `("platforms", 3, "platformName")` becomes `platforms[3].platformName`."""
    path = ""
    for member in location:
        if isinstance(member, int):
            path += f"[{member}]"
        else:
            path += f".{member}" if path else member
    return path
