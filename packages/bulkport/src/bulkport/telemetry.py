"""OpenTelemetry traces and metrics, if the application has configured them.

`pip install 'bulkport[otel]'` brings the API. As soon as the process has a tracer provider (by
`opentelemetry-instrument`, or by code), a request, the jobs that it enqueues, and what these do are one trace: its
context is kept with each job. Spans and metrics are named by OpenTelemetry's semantic conventions for HTTP and for
messaging. Histograms are recorded within spans, so that an SDK that keeps exemplars links them to traces.
"""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

CARRIER: Final = "bulkport.trace"
"""Member of a job's arguments with the trace that enqueued it. No parameter of a function can have that name."""

_SYSTEM: Final = "bulkport"
_instruments: dict[str, Any] = {}


def is_active() -> bool:
    """Whether this process has a tracer provider."""
    # Asked several times for each job. Whoever sets a provider has imported the API.
    if "opentelemetry.trace" not in sys.modules:
        return False
    from opentelemetry import trace  # noqa: PLC0415  # only where it is used

    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider | trace.NoOpTracerProvider)


def carried() -> dict[str, str]:
    """The trace context added to a job's arguments; empty without a current trace."""
    if not is_active():
        return {}
    from opentelemetry import propagate  # noqa: PLC0415

    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return {CARRIER: carrier["traceparent"]} if "traceparent" in carrier else {}


def without_carrier(args: Mapping[str, Any]) -> Mapping[str, Any]:
    """A job's arguments as its task knows them."""
    return {name: value for name, value in args.items() if name != CARRIER} if CARRIER in args else args


@contextmanager
def span(name: str, **attributes: str | float | bool | None) -> Iterator[Any]:
    """A span around a step; None without telemetry. Attributes get the prefix `bulkport.`."""
    if not is_active():
        yield None
        return
    with _tracer().start_as_current_span(name, attributes=_below(attributes)) as current:
        yield current


def describe(current: Any, **attributes: str | float | bool | None) -> None:
    """Add attributes to a span."""
    if current is not None:
        current.set_attributes(_below(attributes))


@contextmanager
def sending(queue: str, messages: int) -> Iterator[None]:
    """A producer span around enqueueing, and the count of enqueued jobs."""
    if not is_active():
        yield
        return
    from opentelemetry.trace import SpanKind  # noqa: PLC0415

    attributes: dict[str, Any] = {
        "messaging.system": _SYSTEM,
        "messaging.operation.name": "enqueue",
        "messaging.operation.type": "send",
        "messaging.destination.name": queue,
        "messaging.batch.message_count": messages,
    }
    with _tracer().start_as_current_span(f"send {queue}", kind=SpanKind.PRODUCER, attributes=attributes):
        yield
        del attributes["messaging.batch.message_count"], attributes["messaging.operation.type"]
        _counter("messaging.client.sent.messages", "{message}", "Jobs enqueued.").add(messages, attributes)


@contextmanager
def processing(task: str, queue: str, job_id: int, attempt: int, args: Mapping[str, Any]) -> Iterator[None]:
    """A consumer's span around a run, in the trace that enqueued its job; its duration and outcome as a metric."""
    if not is_active():
        yield
        return
    from opentelemetry import propagate  # noqa: PLC0415
    from opentelemetry.trace import SpanKind  # noqa: PLC0415

    named = {
        "messaging.system": _SYSTEM,
        "messaging.operation.name": "process",
        "messaging.destination.name": queue,
        "bulkport.task": task,
    }
    of_run = {"messaging.operation.type": "process", "messaging.message.id": str(job_id), "bulkport.attempt": attempt}
    parent = propagate.extract({"traceparent": str(args.get(CARRIER, ""))})
    started = time.perf_counter()
    with _tracer().start_as_current_span(
        f"process {task}", context=parent, kind=SpanKind.CONSUMER, attributes=named | of_run
    ):
        try:
            yield
        except BaseException as error:
            named["error.type"] = type(error).__qualname__
            raise
        finally:
            _durations().record(time.perf_counter() - started, named)


class RequestSpan:
    """A server's span around an HTTP request, unless another instrumentation has made one."""

    def __init__(self, method: str, headers: Mapping[str, str]) -> None:
        from opentelemetry import context, propagate, trace  # noqa: PLC0415

        self._context = context
        self._method = method
        self._token: Any = None
        self._span: Any = trace.get_current_span()
        if not self._span.get_span_context().is_valid:
            self._span = _tracer().start_span(method, context=propagate.extract(headers), kind=trace.SpanKind.SERVER)
            self._token = context.attach(trace.set_span_in_context(self._span))
        self.trace_id = trace.format_trace_id(self._span.get_span_context().trace_id)

    def end(self, route: str | None, status: int | None) -> None:
        """The request is answered."""
        if self._token is None:
            return
        from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415

        self._span.set_attribute("http.request.method", self._method)
        if route is not None:
            self._span.update_name(f"{self._method} {route}")
            self._span.set_attribute("http.route", route)
        if status is not None:
            self._span.set_attribute("http.response.status_code", status)
            if status >= 500:
                self._span.set_status(Status(StatusCode.ERROR))
        self._context.detach(self._token)
        self._span.end()


def request_span(method: str, raw_headers: Any) -> RequestSpan | None:
    """Begin the span of a request with raw ASGI headers; None if there is no telemetry."""
    if not is_active():
        return None
    wanted = (b"traceparent", b"tracestate", b"baggage")
    return RequestSpan(
        method, {name.decode(): value.decode("latin-1") for name, value in raw_headers if name in wanted}
    )


def _below(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {f"bulkport.{name}": value for name, value in attributes.items() if value is not None}


def _tracer() -> Any:
    from opentelemetry import trace  # noqa: PLC0415

    return trace.get_tracer("bulkport")


def _counter(name: str, unit: str, description: str) -> Any:
    if name not in _instruments:
        from opentelemetry import metrics  # noqa: PLC0415

        _instruments[name] = metrics.get_meter("bulkport").create_counter(name, unit, description)
    return _instruments[name]


def _durations() -> Any:
    name = "messaging.process.duration"
    if name not in _instruments:
        from opentelemetry import metrics  # noqa: PLC0415

        _instruments[name] = metrics.get_meter("bulkport").create_histogram(name, "s", "Duration of runs of jobs.")
    return _instruments[name]
