"""Errors as text, for logs and tables, also those that cannot show themselves."""

import traceback
from typing import Final

from bulkport.jobs.sanitize import storable_text

_MOST_TYPE_LENGTH: Final = 200
_MOST_MESSAGE_LENGTH: Final = 4_000
_MOST_TRACEBACK_LENGTH: Final = 32_768


def message_of(error: BaseException) -> str:
    """The error's message, storable and bounded; says so when its `str()` raises."""
    try:
        message = str(error)
    except BaseException:
        message = "(its message cannot be shown)"
    return storable_text(message, _MOST_MESSAGE_LENGTH)


def type_of(error: BaseException) -> str:
    """Name of the error's type, storable and bounded."""
    return storable_text(type(error).__qualname__, _MOST_TYPE_LENGTH)


def describe(error: BaseException) -> str:
    """The error's type and message; its type alone when it has no message."""
    return join_error(type_of(error), message_of(error))


def join_error(error_type: str, message: str | None) -> str:
    """Type and message as one text."""
    return f"{error_type}: {message}" if message else error_type


def printable(error: BaseException) -> BaseException:
    """The error itself, or a stand-in with its traceback when loggers would choke on its `str()`."""
    try:
        str(error)
    except BaseException:
        return RuntimeError(describe(error)).with_traceback(error.__traceback__)
    return error


def traceback_of(error: BaseException) -> str:
    """The error's traceback with the errors it came from, storable; of a long one the end, which tells most."""
    try:
        text = "".join(traceback.format_exception(printable(error)))
    except BaseException:
        # Such as one whose cause cannot show itself.
        text = "".join(traceback.format_tb(error.__traceback__)) + describe(error)
    if len(text) > _MOST_TRACEBACK_LENGTH:
        text = "…" + text[1 - _MOST_TRACEBACK_LENGTH :]
    return storable_text(text, _MOST_TRACEBACK_LENGTH)
