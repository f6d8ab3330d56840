"""Prometheus metrics of one server process."""

import hmac
import ipaddress
from collections.abc import Callable
from functools import partial
from typing import Final

import psycopg
from fastapi import APIRouter
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import Response

from bulkport.app import Bulkport
from bulkport.dashboard.pages.prometheus import job_metrics
from bulkport.dashboard.standard import attention_reader
from bulkport.errors import BulkportError, NotFound
from bulkport.fastapi.request_log import Exchange
from bulkport.fastapi.trace import trace_id_of_request
from bulkport.jobs.errors import NotConnected
from commandapi.settings import Settings

_FORWARDING_HEADERS: Final = ("forwarded", "via", "x-forwarded-for", "x-real-ip")
_END: Final = b"# EOF\n"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

# Half a millisecond to a minute: 1,000 rows are accepted in some milliseconds, a body of ten million in seconds.
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


POOL_METRICS: Final[tuple[tuple[str, str, Callable[[dict[str, int]], float]], ...]] = (
    ("commandapi_pool_connections", "Open connections to PostgreSQL.", lambda stats: stats.get("pool_size", 0)),
    ("commandapi_pool_connections_most", "Connections that the pool may open.", lambda stats: stats.get("pool_max", 0)),
    ("commandapi_pool_available", "Connections that are idle.", lambda stats: stats.get("pool_available", 0)),
    ("commandapi_pool_waiting", "Requests that wait for a connection.", lambda stats: stats.get("requests_waiting", 0)),
    (
        "commandapi_pool_timeouts",
        "Requests that waited in vain since the start.",
        lambda stats: stats.get("requests_errors", 0),
    ),
)


class RequestMetrics:
    """Counts and times requests by method, route template and status.

    Labels only take values that the program knows, so a stranger's paths and methods cannot make new series.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._watched: dict[str, Gauge] = {}
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._requests = Counter(
            "http_requests", "Requests answered.", ["method", "route", "status"], registry=self.registry
        )
        self._durations = Histogram(
            "http_request_duration_seconds",
            "Time from a request's headers to the last byte of its answer.",
            ["method", "route"],
            buckets=_BUCKETS,
            registry=self.registry,
        )

    def watch(self, name: str, what: str, read: Callable[[], float]) -> None:
        """Expose a number that is read when the metrics are."""
        if name not in self._watched:
            self._watched[name] = Gauge(name, what, registry=self.registry)
        self._watched[name].set_function(read)

    def tell_limit(self, name: str, limit: float) -> None:
        """Expose a limit of the process and its usage, for alerts before it is reached."""
        if "commandapi_limit" not in self._watched:
            what = "Limits of this process by name; the metric of the same name has what is used."
            self._watched["commandapi_limit"] = Gauge("commandapi_limit", what, ["name"], registry=self.registry)
        self._watched["commandapi_limit"].labels(name).set(limit)

    def watch_pool(self, name: str, stats: Callable[[], dict[str, int]]) -> None:
        """Expose the usage of a connection pool from psycopg's statistics."""
        for metric, what, read in POOL_METRICS:
            if metric not in self._watched:
                self._watched[metric] = Gauge(metric, what, ["pool"], registry=self.registry)
            self._watched[metric].labels(name).set_function(partial(_read_pool, read, stats))

    def observe(self, exchange: Exchange) -> None:
        """Count one request."""
        method = exchange.method if exchange.method in _METHODS else "other"
        route = exchange.route or "none"
        status = "disconnected" if exchange.status is None else str(exchange.status)
        self._requests.labels(method, route, status).inc()
        # An exemplar (in OpenMetrics' format alone) leads from a slow bucket to a request's trace and log lines.
        trace_id = trace_id_of_request.get()
        self._durations.labels(method, route).observe(
            exchange.seconds, None if trace_id is None else {"trace_id": trace_id}
        )


def _read_pool(read: Callable[[dict[str, int]], float], stats: Callable[[], dict[str, int]]) -> float:
    return read(stats())


def _may_read(request: Request, settings: Settings) -> bool:
    """Whether the request has the token; without one, whether it comes directly from a network that may read."""
    token = settings.metrics_token
    if token is not None:
        given = request.headers.get("authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {token.get_secret_value()}".encode())
    if any(name in request.headers for name in _FORWARDING_HEADERS) or request.client is None:
        return False
    try:
        address = ipaddress.ip_address(request.client.host)
    except ValueError:
        return True  # no network at all: a socket of this machine
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return any((mapped or address) in network for network in settings.metrics_allowed)


router = APIRouter(include_in_schema=False)


@router.get("/metrics")
async def read_metrics(request: Request) -> Response:
    """The metrics in Prometheus' or OpenMetrics' text format, by `Accept`, for authorised clients."""
    settings: Settings = request.app.state.settings
    if not _may_read(request, settings):
        raise NotFound
    metrics: RequestMetrics = request.app.state.metrics
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    text = encode(metrics.registry)
    jobs = (await _job_metrics(request)).encode()
    # OpenMetrics ends with this line.
    head, end, _ = text.partition(_END)
    return Response(head + jobs + end, media_type=content_type)


async def _job_metrics(request: Request) -> str:
    """Job metrics; none during a database outage, which other metrics report."""
    bulkport: Bulkport = request.app.state.bulkport
    read = attention_reader(bulkport, bulkport.resources, bulkport.opened_pool, bulkport.limits)
    try:
        return await job_metrics(bulkport, await read())
    except (psycopg.Error, BulkportError, NotConnected, TimeoutError):
        return ""
