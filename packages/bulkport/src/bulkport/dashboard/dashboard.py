"""The dashboard that an application mounts: its routes and how requests reach pages."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

import psycopg
from jinja2 import BaseLoader
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route, Router
from starlette.types import Message, Receive, Scope, Send

from bulkport.dashboard.access.viewers import Access
from bulkport.dashboard.action_endpoints import ActionEndpoints
from bulkport.dashboard.core import cookies, error_page
from bulkport.dashboard.core.action import Action, Audit
from bulkport.dashboard.core.cache import TTLCache
from bulkport.dashboard.core.command import Command
from bulkport.dashboard.core.language import speaking, t
from bulkport.dashboard.core.page import (
    Counts,
    CountsSource,
    Download,
    Page,
    PageNotFound,
    Redirect,
    Search,
    Section,
    no_counts,
)
from bulkport.dashboard.core.render import Renderer
from bulkport.dashboard.core.responses import Responses
from bulkport.dashboard.core.security import NO_STORE, PAGE_HEADERS
from bulkport.dashboard.core.sse.hub import Hub
from bulkport.dashboard.core.static_files import StaticFiles
from bulkport.dashboard.core.viewer import Viewer
from bulkport.dashboard.live_updates import LiveUpdates
from bulkport.dashboard.mounting import Below, NamedRoute, own_url, path_below_mount
from bulkport.dashboard.preferences import choose_language, choose_look
from bulkport.dashboard.request_context import VIEWER, Refused, page_request_of, problem, viewer_of
from bulkport.errors import BulkportError, ServiceUnavailable
from bulkport.fastapi.error_responses import status_of
from bulkport.fastapi.trace import trace_id_of_request
from bulkport.jobs.errors import NotConnected

logger = logging.getLogger(__name__)

Endpoint = Callable[[Request], Awaitable[Response]]

_OF_THE_APPLICATION: Final = frozenset({"router", "route", "endpoint", "starlette.exception_handlers"})
"""Parts of a scope that the dashboard does not take over: its errors become pages, not the application's answers."""
_API: Final = "/api/"
_COUNTS_SECONDS: Final = 0.9
"""How long counts are shared: less than the second between two reads of a page, so that each has counts of its own."""


class Dashboard:
    """Pages about background work, for any Starlette or FastAPI application.

    Parameters
    ----------
    pages, sections:
        The pages and their entries in the navigation; see `bulkport.dashboard.pages`.
    access:
        Who may see the dashboard and who may act; see `bulkport.dashboard.access`.
    audit:
        Records what operators do.
    actions:
        What operators can do. A page's button posts to `do/` and the action's name.
    downloads:
        Files that the pages offer.
    commands:
        The actions available to programs, each with its own path.
    counts:
        Reads the numbers in the navigation.
    search:
        Where the search field leads; None: there is no search field.
    title:
        Name of the application.
    loaders:
        Load the templates of further pages.
    public_url:
        Its address as browsers know it, where a proxy hides that; with https, cookies are `Secure`.
    links:
        Addresses that every page leads to, by their names: the application, dashboards of others.

    Examples
    --------
    ::

        dashboard = Dashboard(pages, sections, access=HookAccess(authorize), audit=AuditLog(lambda: app.state.pool))
        dashboard.mount(app, "/jobs")
    """

    def __init__(
        self,
        pages: Sequence[Page],
        sections: Sequence[Section],
        *,
        access: Access,
        audit: Audit,
        actions: Sequence[Action] = (),
        downloads: Sequence[Download] = (),
        commands: Sequence[Command] = (),
        counts: CountsSource = no_counts,
        search: Search | None = None,
        title: str = "Background jobs",
        loaders: Sequence[BaseLoader] = (),
        hub: Hub | None = None,
        public_url: str | None = None,
        links: Mapping[str, str] | None = None,
    ) -> None:
        self._is_secure = None if public_url is None else public_url.lower().startswith("https:")
        self._access = access
        self._counts = _shared(counts)
        self._static = StaticFiles()
        renderer = Renderer(title, sections, search, self._static, loaders, links=links)
        self._responses = Responses(renderer, self._counts)
        self._hub = hub or Hub()
        open_routes = access.routes()
        self._open_paths = frozenset(route.path for route in open_routes)
        self._page_routes = [(page, Route(f"/{page.path}", self._page_endpoint(page))) for page in pages]
        acting = ActionEndpoints({action.name: action for action in actions}, audit, self._responses, self._counts)
        live = LiveUpdates(self._page_routes, renderer, self._counts, self._hub)
        self._router = Router(
            [
                *open_routes,
                *(route for _, route in self._page_routes),
                *(Route(f"/{download.path}", _download_endpoint(download)) for download in downloads),
                *(
                    Route(f"/{one.path}", partial(acting.run_command, one), methods=["POST"])
                    for one in commands
                    if acting.knows(one)
                ),
                Route("/live/", live.stream),
                Route("/do/{name:path}", acting.act, methods=["POST"]),
                Route("/theme", choose_look, methods=["POST"]),
                Route("/language", choose_language, methods=["POST"]),
                Route("/static/{name}", self._static_file),
            ],
            redirect_slashes=False,
            default=_nothing_here,
        )

    def mount(self, app: Starlette, path: str = "/jobs") -> None:
        """Serve the dashboard at and below `path` of `app`.

        Parameters
        ----------
        path:
            Beginning with a slash, without one at its end; such as `/jobs` or `/internal/jobs`.

        Raises
        ------
        ValueError
            If `path` is no such path.
        """
        if not path.startswith("/") or path.endswith("/") or "{" in path or "//" in path:
            raise ValueError("path must begin with a slash and not end with one, such as /jobs")
        # Not a Mount, which goes astray where a proxy removes a prefix that the application knows as its root_path.
        # Streams are long-lived and have their own route, so that request metrics can separate them from pages.
        app.router.routes += [
            NamedRoute(path, Below(self, None)),
            NamedRoute(f"{path}/live/{{rest:path}}", Below(self, "live/")),
            NamedRoute(f"{path}/{{rest:path}}", Below(self, "")),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request below a mount: `app.mount("/jobs", dashboard)` (ASGI 3)."""
        if scope["type"] != "http":
            raise RuntimeError(f"the dashboard answers http, not {scope['type']}")
        await self.answer(path_below_mount(scope), scope, receive, send)

    def end_streams(self) -> None:
        """End all live streams permanently, for a server that handles signals itself and is about to stop."""
        self._hub.close()

    async def answer(self, path: str | None, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI 3).

        Parameters
        ----------
        path:
            Below the dashboard, without a slash at its beginning; None: the dashboard's own without its last slash.
        """
        scope = {**scope, error_page.SHOW: self._responses.error_page, error_page.URL: own_url(scope, path)}
        if self._is_secure is not None:
            scope[cookies.SECURE] = self._is_secure
        request = Request(scope, receive)
        try:
            viewer = await self._access.viewer(request)
        except (psycopg.OperationalError, psycopg.InterfaceError, ServiceUnavailable) as error:
            logger.warning("dashboard viewer could not be determined: %s", error)
            text = "The database cannot be reached at the moment."
            await error_page.error_page(request, 503, "Service unavailable", text)(scope, receive, send)
            return
        # The script and style of a sign-in page are public, unlike the existence of a dashboard.
        is_open = f"/{path}" in self._open_paths or (bool(self._open_paths) and f"{path}".startswith("static/"))
        if viewer is None and not is_open:
            await self._access.refuse(request)(scope, receive, send)
        elif path is None:
            await RedirectResponse(scope["path"].rpartition("/")[2] + "/", 307)(scope, receive, send)
        else:
            await self._answer_inside(path, viewer, scope, receive, send)

    async def _answer_inside(
        self, path: str, viewer: Viewer | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        inner = {
            **{name: value for name, value in scope.items() if name not in _OF_THE_APPLICATION},
            "path": f"/{path}",
            "raw_path": quote(f"/{path}").encode(),
            "root_path": "",
            "path_params": {},
            VIEWER: viewer,
        }
        has_begun = False

        async def send_on(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        language = cookies.language(Request(inner))
        try:
            with speaking(language):
                await self._router(inner, receive, send_on)
        except ClientDisconnect:
            raise
        except Exception as error:
            if viewer is None and isinstance(error, PageNotFound):
                await self._access.refuse(Request(scope, receive))(scope, receive, send)
                return
            if has_begun or viewer is None:
                raise
            with speaking(language):
                response = await self._error(Request(inner, receive), viewer, error)
            await response(inner, receive, send)

    async def _error(self, request: Request, viewer: Viewer, error: Exception) -> Response:
        match error:
            case PageNotFound():
                status, text = 404, str(error) or t("There is nothing at this address.")
            case HTTPException(status_code=HTTPStatus.NOT_FOUND):
                status, text = 404, t("There is nothing at this address.")
            case HTTPException():
                status, text = error.status_code, t("This address does not accept such a request.")
            case Refused():
                status, text = 403, str(error)
            case BulkportError() if (
                status_of(error) < HTTPStatus.INTERNAL_SERVER_ERROR
                or status_of(error) == HTTPStatus.SERVICE_UNAVAILABLE
            ):
                status, text = status_of(error), error.detail
            case NotConnected():
                status, text = 503, t("The server is starting or stopping. Try again in a moment.")
            case psycopg.OperationalError() | psycopg.InterfaceError():
                logger.warning("the database cannot be reached: %s", error)
                status, text = 503, t("The database is unavailable. Try again in a moment.")
            case _:
                logger.error("unexpected error", exc_info=error)
                status, text = 500, t("The server log has the details under {trace}.", trace=trace_id_of_request.get())
        if request.scope["path"].startswith(_API):
            return problem(status, text)
        return await self._responses.error(request, viewer, page_request_of(request, viewer), status, text)

    def _page_endpoint(self, page: Page) -> Endpoint:
        async def show(request: Request) -> Response:
            viewer = viewer_of(request)
            page_request = page_request_of(request, viewer)
            counts = await self._counts()
            try:
                variables = await page.load(page_request)
                if page.load_own is not None:
                    variables = {**variables, **await page.load_own(page_request, viewer)}
            except Redirect as redirect:
                return RedirectResponse(redirect.address, 303, headers=NO_STORE)
            return self._responses.page(
                request,
                viewer,
                page.template,
                page_request,
                counts=counts,
                variables=variables,
                section=page.section,
                is_live=True,
                status=variables.get("http_status", 200),
            )

        return show

    async def _static_file(self, request: Request) -> Response:
        found = self._static.answer(request, f"static/{request.path_params['name']}")
        if found is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return found


def _shared(counts: CountsSource) -> CountsSource:
    """Counts that are read at most once a second, however many pages are requested."""

    async def read(_: None) -> Counts:
        return await counts()

    cache = TTLCache(read, seconds=_COUNTS_SECONDS)
    return lambda: cache.get(None)


def _download_endpoint(download: Download) -> Endpoint:
    async def answer(request: Request) -> Response:
        response = await download.answer(page_request_of(request, viewer_of(request)))
        response.headers.update({**PAGE_HEADERS, **NO_STORE})
        return response

    return answer


async def _nothing_here(scope: Scope, receive: Receive, send: Send) -> None:
    raise PageNotFound
