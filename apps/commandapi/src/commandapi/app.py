"""The application object: its parts and its lifespan."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import sqlalchemy.exc
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from bulkport.app import Bulkport
from bulkport.dashboard import Sessions
from bulkport.database.row_security import RowSecurity
from bulkport.errors import ServiceUnavailable
from bulkport.fastapi import problems
from bulkport.fastapi.loop_watchdog import LoopWatchdog
from bulkport.fastapi.middleware import EdgeMiddleware
from bulkport.fastapi.openapi import complete_examples, describe_parameters, describe_problems
from bulkport.fastapi.request_log import Exchange
from bulkport.fastapi.webhook_descriptions import describe_webhooks
from bulkport.pools import AsyncPool
from commandapi import health, metrics, migrations
from commandapi.api_audit import ApiAudit
from commandapi.api_examples import show_examples
from commandapi.api_texts import TAGS, name_operations
from commandapi.auth import current_user
from commandapi.auth.authentication import describe_scopes
from commandapi.auth.key_admission import CHECKS_AT_ONCE, STRANGERS_AT_ONCE, KeyAdmission, SeparateStrangers
from commandapi.auth.rate_limit import RateLimiter
from commandapi.auth.user_requests import CountRequests, UserRequests
from commandapi.commands.routes import router as commands_router
from commandapi.composition import build_bulkport
from commandapi.cors import CrossOrigin
from commandapi.dashboard import access_by, key_page_by
from commandapi.database import open_database
from commandapi.docs_page import add_docs_page
from commandapi.logs import log_request
from commandapi.platforms.routes import router as platforms_router
from commandapi.registrations.routes import router as registrations_router
from commandapi.row_security import Enforcement
from commandapi.searching import search_slots
from commandapi.settings import Settings
from commandapi.tenancy import owner_context

_DESCRIPTION = """\
A catalogue of platforms and the commands that run on them, with durable bulk imports.

Every `/api` route requires an API key in the header `x-api-key`. The exception is `/api/registrations`, where signed-in
users create, list and revoke their own API keys with a Bearer token of the sign-in service.

**How to import**

1. *Try*: `POST /api/platforms/bulk?dryRun=true` validates everything, including database constraints, and stores
   nothing.
2. *Send*: `POST /api/platforms/bulk` with an `Idempotency-Key`. If the connection breaks, or after 429, 500, 502, 503
   or 504, repeat the request with the same key after `Retry-After`: it is imported once. On unreliable connections,
   upload the file in parts to `/api/uploads` (tus 1.0), then send `{"upload": id}` as the body.
3. *Watch*: `GET /api/imports/{id}/events` (server-sent events) or `GET /api/imports/{id}?wait=30`. Webhooks notify your
   server.
4. *Get the rejected rows*: `GET /api/imports/{id}/errors?format=csv` (or `ndjson`, `xlsx`) has your columns, then `row`
   and `error`.
5. *Correct and retry*: `POST /api/imports/{id}/retry` with the corrected report as its body. To correct single rows,
   use `PATCH …/errors/{row}`, then `POST …/retry` without a body.
6. *Cancel or undo*: `DELETE /api/imports/{id}` while it runs, `POST /api/imports/{id}/undo` afterwards.
7. *Get notified*: `POST /api/webhooks`. *Webhooks* below describes each event and how to verify it.

**Repeating requests.** Every POST, PUT, PATCH and DELETE accepts an `Idempotency-Key`; use one key per intended action.
Repeating the request returns the first response, with `Idempotent-Replayed: true`, even if that response was lost. 409
with `Retry-After` means that the first request is in progress: wait, then repeat it; 409 without it is final. A
different request with the same key is 422. Responses are stored for a day. `PATCH /api/uploads/{id}` needs no key,
because it names its offset.

**Errors** are problems (RFC 9457): show `detail`, and `errors` by field; distinguish kinds by `type`. Every response
has `RateLimit` and `RateLimit-Policy` with the number of requests that the user has left.

**Lists** have pages: pass `nextCursor` as `cursor` until it is null.
"""


class CommandApi(FastAPI):
    """FastAPI with the problem responses in its OpenAPI description, which is made and written as JSON once."""

    _description: asyncio.Task[bytes] | None = None

    def setup(self) -> None:
        """Add the route of the OpenAPI description; the documentation's page is `commandapi.docs_page`'s."""
        if self.openapi_url:
            self.add_route(self.openapi_url, self._send_description, include_in_schema=False)

    async def _send_description(self, request: Request) -> Response:
        if self._description is None:
            # Some tenths of a second of work, in which others are answered; once, however many ask.
            work = asyncio.to_thread(lambda: json.dumps(self.openapi()).encode())
            self._description = asyncio.create_task(work)
        return Response(await asyncio.shield(self._description), media_type="application/json")

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI description, made once."""
        description = super().openapi()
        if "Problem" not in description.get("components", {}).get("schemas", {}):
            describe_scopes(describe_webhooks(describe_parameters(describe_problems(description))))
            name_operations(description)
            show_examples(description)
            complete_examples(description)
        return description


def create_app(settings: Settings) -> FastAPI:
    """The Command API.

    Its lifespan opens the database; `app.state` then holds `settings`, `metrics`, `bulkport`, `dashboard`,
    `dashboard_access`, `pool`, `key_pool`, `row_security`, `key_admission`, `search_slots`, `enforcement`,
    `rate_limiter`, `user_requests`, `loop_watchdog`, `sessions`, `reading_sessions` and
    `newest_migration`. The database need not be there yet: requests are answered 503 until it is.

    Parameters
    ----------
    settings:
        `database_url` must be set: starting the embedded database is the command line's task.

    Raises
    ------
    ValueError
        If `settings.database_url` is not set.
    """
    if settings.database_url is None:
        raise ValueError("settings.database_url must be set")
    app = CommandApi(
        title="Command API",
        version=version("commandapi"),
        description=_DESCRIPTION,
        openapi_tags=TAGS,
        lifespan=_serve,
        openapi_url="/openapi.json" if settings.shows_docs else None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.settings = settings
    app.state.metrics = request_metrics = metrics.RequestMetrics()

    def observe(exchange: Exchange) -> None:
        request_metrics.observe(exchange)
        log_request(exchange)

    app.state.user_requests = user_requests = UserRequests(settings.max_user_requests)
    app.add_middleware(CountRequests, user_requests=user_requests)
    app.add_middleware(ApiAudit, pool=lambda: _pool_of(app), keep=settings.audit_retention())
    app.state.key_admission = admission = KeyAdmission(settings.database_wait_seconds)
    app.add_middleware(SeparateStrangers, admission=admission)
    if settings.cors_origins is not None:
        app.add_middleware(CrossOrigin, origins=settings.cors_origins, path="/api")
    app.add_middleware(EdgeMiddleware, private_path="/api", observe=observe, limits=settings.request_limits())
    problems.install(app, database_errors=[sqlalchemy.exc.DBAPIError])
    app.state.search_slots = search_slots(settings)
    app.state.enforcement = Enforcement()
    app.state.rate_limiter = RateLimiter(settings.requests_per_minute)

    app.state.bulkport = bulkport = build_bulkport(settings, owner_context(settings.tenancy))
    app.include_router(bulkport.router(user=current_user, job_id_name="hangfireJobId"), prefix="/api")
    app.include_router(platforms_router)
    app.include_router(commands_router)
    app.include_router(registrations_router)
    app.include_router(health.router)
    app.include_router(metrics.router)
    if settings.shows_docs:
        add_docs_page(app)
    app.state.dashboard_access = access = access_by(settings, lambda: _pool_of(app))
    app.state.dashboard = dashboard = bulkport.dashboard(
        access=access,
        title="Command API",
        masked_names=settings.masked_names,
        audit_keep=settings.audit_retention(),
        public_url=settings.dashboard_public_url,
        sessions=Sessions(lambda: _pool_of(app)),
    )
    dashboard.mount(app, settings.dashboard_path)
    if (key_page := key_page_by(settings, lambda: _pool_of(app))) is not None:
        key_page.mount(app, settings.key_page_path)
    return app


def _pool_of(app: FastAPI) -> AsyncPool:
    pool: AsyncPool | None = getattr(app.state, "pool", None)
    if pool is None:
        raise ServiceUnavailable
    return pool


@asynccontextmanager
async def _serve(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    assert settings.database_url is not None
    app.state.newest_migration = migrations.head()
    async with open_database(
        settings.database_url,
        pool_size=settings.api_pool_size,
        key_pool_size=STRANGERS_AT_ONCE + CHECKS_AT_ONCE,
        acquire_seconds=settings.database_wait_seconds,
        statement_seconds=settings.statement_seconds,
    ) as database:
        app.state.pool = database.pool
        app.state.key_pool = database.key_pool
        app.state.row_security = RowSecurity(database.pool)
        app.state.sessions = database.sessions
        app.state.reading_sessions = database.reading_sessions
        bulkport: Bulkport = app.state.bulkport
        watchdog = LoopWatchdog(settings.loop_patience_seconds)
        app.state.loop_watchdog = watchdog
        metrics_of_process: metrics.RequestMetrics = app.state.metrics
        metrics_of_process.watch(
            "commandapi_loop_late_seconds",
            "Longest time that the event loop was late since the last scrape.",
            watchdog.take_worst,
        )
        metrics_of_process.watch(
            "commandapi_uploads", "Long bodies that are being received.", lambda: bulkport.uploads_under_way
        )
        metrics_of_process.watch("commandapi_searches", "Searches that run.", lambda: app.state.search_slots.taken)
        metrics_of_process.watch(
            "commandapi_unknown_keys",
            "Requests whose key was not valid lately, and is checked.",
            lambda: app.state.key_admission.strangers,
        )
        metrics_of_process.watch(
            "commandapi_requests_limited",
            "Requests refused because their user had sent too many, since the start.",
            lambda: app.state.rate_limiter.refused,
        )
        metrics_of_process.watch(
            "commandapi_disk_free_bytes",
            "Free space where long bodies wait; below the watermark uploads are refused.",
            lambda: health.free_disk_bytes(settings),
        )
        for name, limit in (
            ("uploads", settings.upload_limit),
            ("connections", settings.max_connections),
            ("disk_watermark_bytes", settings.disk_watermark_bytes),
        ):
            metrics_of_process.tell_limit(name, limit)
        metrics_of_process.watch_pool("uploads", bulkport.upload_pool_stats)
        metrics_of_process.watch_pool("api", database.pool.get_stats)
        metrics_of_process.watch_pool("keys", database.key_pool.get_stats)
        # The command line has looked that the tables are there, and the server may start before its database.
        async with watchdog.running(), bulkport.connect(pool=database.pool, check=False):
            await _build_routes(app)
            yield


async def _build_routes(app: FastAPI) -> None:
    """Have FastAPI build the routes now, which it would do when the first request asks for them, for half a second."""

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        return

    with contextlib.suppress(HTTPException):
        scope = {"type": "http", "method": "GET", "path": "/api/-", "headers": [], "query_string": b"", "app": app}
        await app.router(scope, receive, send)
