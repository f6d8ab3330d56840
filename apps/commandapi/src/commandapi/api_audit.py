"""Audits changes by API clients in the audit table of the dashboard."""

import logging
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import psycopg
from psycopg_pool import PoolTimeout
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bulkport.connection_user import without_connection_user
from bulkport.dashboard import AuditLog
from bulkport.errors import ServiceUnavailable
from bulkport.pools import AsyncPool

logger = logging.getLogger(__name__)

_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
# Imports have rows of their own until retention; what is uploaded is nothing until it is imported.
_TOLD_ELSEWHERE: Final = re.compile(r"/api/(?:\w+/bulk|uploads(?:/.*)?)/?")
_MAX_TARGET: Final = 500


class ApiAudit:
    """Records who changed what through the API, when, and with which key: `delete_platform`, `/api/platforms/7`.

    It is kept after the answer. A database that is away then loses the entry, which the log reports.

    Parameters
    ----------
    pool:
        Gives the pool of autocommit connections once the application is connected.
    keep:
        Retention of entries; None for ever.
    """

    def __init__(self, app: ASGIApp, *, pool: Callable[[], AsyncPool], keep: timedelta | None) -> None:
        self._app = app
        self._audit = AuditLog(pool, keep=keep)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI 3)."""
        if scope["type"] != "http" or scope["method"] in _READING or not scope["path"].startswith("/api/"):
            await self._app(scope, receive, send)
            return
        status = 500

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        await self._app(scope, receive, send_on)
        actor: str | None = scope.get("state", {}).get("actor")
        if actor is not None and status < 400 and not _TOLD_ELSEWHERE.fullmatch(scope["path"]):
            await self._note(scope, actor, status)

    async def _note(self, scope: Scope, actor: str, status: int) -> None:
        route: Any = scope.get("route")
        action = f"api/{getattr(route, 'name', scope['method'])}"
        try:
            with without_connection_user():
                await self._audit.note(actor, action, scope["path"][:_MAX_TARGET], f"Answered {status}.")
        except (psycopg.Error, PoolTimeout, ServiceUnavailable):
            logger.exception("audit entry was not written: %s, %s", actor, action)
