"""The logs of workers: events with values, which go where the application has structlog's go.

An application that has not configured structlog gets them through the standard library's `logging`, as from any other
library. (What structlog does by itself is for developers: with rich installed, a traceback takes a third of a second,
in which the event loop stands still, and shows the values of variables.)
"""

import logging
from typing import Any, Final, cast

import structlog
from structlog.stdlib import BoundLogger
from structlog.types import EventDict, WrappedLogger

_LOG_KWARGS: Final = ("exc_info", "stack_info", "stacklevel")


def get_logger(name: str) -> BoundLogger:
    """The logger of a module."""
    return cast("BoundLogger", _Logger(name))


def log_to_stderr() -> None:
    """Have this process print what the library logs, from INFO on, unless it has set up structlog or `logging`."""
    library = logging.getLogger("bulkport")
    if structlog.is_configured() or library.hasHandlers():
        return
    logging.basicConfig(format="%(asctime)s %(levelname)-8s %(message)s")
    if library.level == logging.NOTSET:
        library.setLevel(logging.INFO)


class _Logger:
    """Decides with each event where it goes: modules make their loggers before applications configure anything."""

    def __init__(self, name: str) -> None:
        self._of_structlog = structlog.get_logger(name)
        self._of_logging = structlog.wrap_logger(
            logging.getLogger(name),
            processors=[structlog.stdlib.filter_by_level, structlog.contextvars.merge_contextvars, _as_line],
            wrapper_class=BoundLogger,
            context_class=dict,
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._of_structlog if structlog.is_configured() else self._of_logging, name)


def _as_line(_logger: WrappedLogger, _method: str, event: EventDict) -> tuple[tuple[str], dict[str, Any]]:
    """What a method of `logging.Logger` takes: the event with its values behind it, and the error that came with it."""
    kwargs = {name: event.pop(name) for name in _LOG_KWARGS if name in event}
    text = str(event.pop("event"))
    return (" ".join([text, *(f"{key}={_shown(value)}" for key, value in event.items())]),), kwargs


def _shown(value: object) -> str:
    text = str(value)
    return text if text and text.isprintable() and not set(text) & {" ", '"', "="} else repr(text)
