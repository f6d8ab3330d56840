"""The library's logs: events with values, which go where the application has its own go.

They are records of the standard library's `logging`, as any other library's; an application that has configured
structlog gets them there. Nothing imports structlog here: where it is unused it would cost each process a quarter of
a second.
"""

import logging
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final

_LOG_KWARGS: Final = ("exc_info", "stack_info", "stacklevel")
_context: Final[ContextVar[Mapping[str, Any]]] = ContextVar("bulkport log values", default={})  # noqa: B039 - a constant


class Logger:
    """Logs events of one module. Each event decides where it goes: applications configure their logs after imports."""

    def __init__(self, name: str, values: Mapping[str, Any] | None = None) -> None:
        self._name = name
        self._values = values or {}

    def bind(self, **values: Any) -> "Logger":
        """A logger whose events have these values, too."""
        return Logger(self._name, {**self._values, **values})

    def debug(self, event: str, **values: Any) -> None:
        """Log for developers."""
        self._log("debug", event, values)

    def info(self, event: str, **values: Any) -> None:
        """Log what happens."""
        self._log("info", event, values)

    def warning(self, event: str, **values: Any) -> None:
        """Log what somebody should know."""
        self._log("warning", event, values)

    def error(self, event: str, **values: Any) -> None:
        """Log what somebody must mend."""
        self._log("error", event, values)

    def exception(self, event: str, **values: Any) -> None:
        """Log the error that is being handled, with its traceback."""
        self._log("error", event, {"exc_info": True, **values})

    def _log(self, level: str, event: str, values: Mapping[str, Any]) -> None:
        structlog = _configured_structlog()
        if structlog is not None:
            getattr(structlog.get_logger(self._name), level)(event, **{**self._values, **values})
            return
        logger, number = logging.getLogger(self._name), getattr(logging, level.upper())
        if not logger.isEnabledFor(number):
            return
        found = {**_context.get(), **self._values, **values}
        options = {"stacklevel": 3} | {name: found.pop(name) for name in _LOG_KWARGS if name in found}
        line = " ".join([event, *(f"{name}={_shown(value)}" for name, value in found.items())])
        logger.log(number, "%s", line, **options)


def get_logger(name: str) -> Logger:
    """The logger of a module."""
    return Logger(name)


def bind_log_values(**values: Any) -> None:
    """Have all events of this context carry values: the library's, and the application's own of structlog."""
    _context.set({**_context.get(), **values})
    if "structlog" in sys.modules:
        from structlog.contextvars import bind_contextvars  # noqa: PLC0415 # only where the application has it

        bind_contextvars(**values)


def log_to_stderr() -> None:
    """Have this process print what the library logs, from INFO on, unless it has set up structlog or `logging`."""
    library = logging.getLogger("bulkport")
    if _configured_structlog() is not None or library.hasHandlers():
        return
    logging.basicConfig(format="%(asctime)s %(levelname)-8s %(message)s")
    if library.level == logging.NOTSET:
        library.setLevel(logging.INFO)


def _configured_structlog() -> Any:
    structlog: Any = sys.modules.get("structlog")
    return structlog if structlog is not None and structlog.is_configured() else None


def _shown(value: object) -> str:
    text = str(value)
    return text if text and text.isprintable() and not set(text) & {" ", '"', "="} else repr(text)
