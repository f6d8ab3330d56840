"""The outermost layer of the HTTP side, as one plain ASGI middleware.

It is on the path of every upload, whose first answer is promised in milliseconds: no response object, no task and no
queue is made here, only one closure for each request.
"""

import asyncio
import logging
from collections.abc import Callable
from time import perf_counter
from typing import Any, Final

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bulkport import telemetry
from bulkport.errors import BulkportError, ServiceUnavailable
from bulkport.fastapi import problems
from bulkport.fastapi.body_pace import paced
from bulkport.fastapi.disconnect import run_until_gone, run_while_connected
from bulkport.fastapi.request_limits import RequestLimits
from bulkport.fastapi.request_log import Exchange
from bulkport.fastapi.response_headers import headers_of_response
from bulkport.fastapi.trace import trace_id_from, trace_id_of_request

logger = logging.getLogger(__name__)

_WITHOUT_BODY: Final = frozenset({"GET", "HEAD"})
_SHUTDOWN: Final = "graceful shutdown"
"""In the message with which uvicorn cancels requests when its time for stopping is over; it would answer 500."""
_STOPPING: Final = "The server stopped before the request was finished; repeat the request."
_NO_STORE: Final = (b"cache-control", b"no-store")


class EdgeMiddleware:
    """Gives a request its trace id, keeps answers out of caches, and is the last place where an exception is caught.

    - The trace id comes from `traceparent` or is random; see `bulkport.fastapi.trace`.
    - Every answer at or under `private_path` carries `Cache-Control: no-store`.
    - HEAD is answered as GET without the content (RFC 9110 §9.3.2); FastAPI's routes know nothing of it.
    - A request whose target or headers are too long is refused, and one without exactly one Host (RFC 9112 §3.2).
    - A body that comes too slowly is answered 408.
    - When the client goes away, the work on its request is cancelled (`bulkport.fastapi.disconnect`).
    - A request that is not done when the server has to stop is answered 503.
    - An exception that nothing else handled is logged and becomes a problem with status 500 and no details. Where the
      answer had already begun it is raised again, so that the server breaks off the connection.

    Parameters
    ----------
    private_path:
        Path without a trailing slash, such as `/api`; by default all.
    limits:
        On every request.
    observe:
        Called once for each request, after its answer; must not raise.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        private_path: str = "",
        observe: Callable[[Exchange], None] | None = None,
        limits: RequestLimits | None = None,
    ) -> None:
        self._app = app
        self._limits = limits or RequestLimits()
        self._private_path = private_path
        self._private_prefix = private_path + "/"
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI 3)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        path: str = scope["path"]
        method: str = scope["method"]
        is_private = path.startswith(self._private_prefix) or path == self._private_path
        is_head = method == "HEAD"
        status: int | None = None
        added: list[tuple[bytes, bytes]] = []

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if is_private:
                    message["headers"] = [
                        *(header for header in message.get("headers", ()) if header[0].lower() != b"cache-control"),
                        _NO_STORE,
                        *added,
                    ]
            elif is_head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        # The server still needs to know that it was HEAD, so the original scope keeps it.
        inner = {**scope, "method": "GET"} if is_head else scope
        span = telemetry.request_span(method, scope["headers"])
        trace_id = trace_id_from(scope["headers"]) if span is None else span.trace_id
        token = trace_id_of_request.set(trace_id)
        headers_token = headers_of_response.set(added)
        if (task := asyncio.current_task()) is not None:
            # For monitors of tasks that block others.
            task.set_name(f"{method} {path} {trace_id}")
        try:
            try:
                await self._answer(inner, paced(receive, self._limits), send_on, lambda: status is not None)
            except ClientDisconnect:
                logger.info("client disconnected")
            except (asyncio.CancelledError, Exception) as error:
                last = _last_answer(path, error)
                if last is None or status is not None:
                    raise
                await last(inner, receive, send_on)
        finally:
            if self._observe is not None:
                self._observe(Exchange(method, path, _template(inner), status, perf_counter() - started))
            if span is not None:
                span.end(_template(inner), status)
            trace_id_of_request.reset(token)
            headers_of_response.reset(headers_token)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, has_begun: Callable[[], bool]) -> None:
        if (refused := self._limits.refusal(scope)) is not None:
            await refused(scope, receive, send)
        elif scope["method"] in _WITHOUT_BODY:
            await run_while_connected(self._app, scope, receive, send)
        else:
            await run_until_gone(self._app, scope, receive, send, has_begun=has_begun)


def _last_answer(path: str, error: BaseException) -> Response | None:
    """The response to a request that ended with an unhandled error; None if the client is gone."""
    if isinstance(error, BulkportError):
        return problems.response_for(path, error)
    if not isinstance(error, asyncio.CancelledError):
        logger.error("unexpected error", exc_info=error)
        return problems.internal_error(path)
    if _SHUTDOWN not in str(error):
        return None
    logger.warning("request not finished when the server stopped")
    return problems.response_for(path, ServiceUnavailable(_STOPPING))


def _template(scope: Scope) -> str | None:
    route: Any = scope.get("route")
    return getattr(route, "path_format", None)
