"""Logs: coloured lines for people in development, one JSON object a line for machines in production.

The records of the standard library's `logging`, which Bulkport and every other package use, and those of structlog
leave in the same form. Each carries the trace id of the request it belongs to.
"""

import logging
import re
import sys
from typing import Final

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.types import EventDict, Processor, WrappedLogger

from bulkport.database import mask_passwords
from bulkport.fastapi.request_log import Exchange
from bulkport.fastapi.trace import trace_id_of_request
from commandapi.settings import Environment, Settings

# All but tab and newline.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

request_logger = logging.getLogger("commandapi.requests")


def configure_logging(settings: Settings) -> None:
    """Set up the logs of this process, on its standard error; later calls replace earlier ones.

    It belongs to the process and not to the application object: call it once, where the process starts.
    """
    # Tracebacks without the values of variables: those hold keys and clients' data, and take seconds to print.
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _add_trace_id,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if settings.environment is Environment.PRODUCTION:
        tracebacks = structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False))
        render: list[Processor] = [tracebacks, structlog.processors.JSONRenderer()]
    else:
        render = [
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = _Handler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _make_harmless, *render],
        )
    )
    root = logging.getLogger()
    root.handlers = [present for present in root.handlers if not isinstance(present, _Handler)]
    root.addHandler(handler)
    root.setLevel(settings.log_level)
    # The request log says the same with the route, the duration and the trace id.
    logging.getLogger("uvicorn.access").disabled = True


class _Handler(logging.StreamHandler):  # type: ignore[type-arg]  # generic only in typeshed
    """Marks the handler that `configure_logging` added."""


def _make_harmless(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Escape control characters, which a terminal would obey, and hide passwords of database URLs."""
    for name, value in event.items():
        if isinstance(value, str):
            text = mask_passwords(value) if "://" in value or "password" in value else value
            event[name] = _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)
    return event


def _add_trace_id(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    if trace_id := trace_id_of_request.get():
        event["trace_id"] = trace_id
    return event


def log_request(exchange: Exchange) -> None:
    """Log one request; those of probes and scrapers only at level DEBUG."""
    is_probe = exchange.path.startswith("/health/") or exchange.path == "/metrics"
    level = logging.DEBUG if is_probe else logging.INFO
    if request_logger.isEnabledFor(level):
        request_logger.log(
            level,
            "request",
            extra={
                "method": exchange.method,
                "path": exchange.path,
                "status": exchange.status,
                "route": exchange.route,
                "milliseconds": round(exchange.seconds * 1000, 2),
            },
        )
