"""Live updates of pages: one stream for all open pages of a browser."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from bulkport.dashboard.core import cookies
from bulkport.dashboard.core.language import preferred, speaking
from bulkport.dashboard.core.page import CountsSource, Page, PageNotFound, PageRequest, Query
from bulkport.dashboard.core.render import Fragment, Renderer
from bulkport.dashboard.core.sse.hub import Hub
from bulkport.dashboard.core.sse.stream import EventStream, Watched
from bulkport.dashboard.core.sse.throttle import Throttle
from bulkport.dashboard.core.static_files import accepts_gzip
from bulkport.dashboard.core.viewer import Viewer
from bulkport.dashboard.request_context import viewer_of

_MAX_WATCHED: Final = 20


class LiveUpdates:
    """The endpoint that streams changes of pages.

    Parameters
    ----------
    pages:
        The pages with their routes.
    counts:
        Reads the numbers in the navigation.
    """

    def __init__(self, pages: Sequence[tuple[Page, Route]], renderer: Renderer, counts: CountsSource, hub: Hub) -> None:
        self._pages = pages
        self._renderer = renderer
        self._counts = counts
        self._hub = hub

    async def stream(self, request: Request) -> Response:
        """The live updates of the pages that the field `watch` of the query names, in one stream.

        `language` is that of the pages: what a worker of the browser prefers may differ.
        """
        viewer = viewer_of(request)
        addresses = request.query_params.getlist("watch")[:_MAX_WATCHED]
        # A page that is gone does not end the updates of the others.
        language = preferred("", request.query_params.get("language", cookies.language(request)))
        watched = [one for address in addresses if (one := self._watched(language, viewer, address)) is not None]
        if not watched:
            raise PageNotFound
        return StreamResponse(EventStream(self._hub, watched, is_compressed=accepts_gzip(request)))

    def _watched(self, language: str, viewer: Viewer, address: str) -> Watched | None:
        path, _, query = address.partition("?")
        path = unquote(path)
        found = self._page_at(path)
        if found is None:
            return None
        page, params = found
        page_request = PageRequest(path, params, Query.parse(query), viewer.role, language, viewer.actions)
        throttle = Throttle()

        async def render() -> Sequence[Fragment]:
            counts = await self._counts()
            if page.follows_counts and throttle.may_skip(counts):
                return ()
            with speaking(page_request.language):
                variables = {**await page.load(page_request), "section": page.section}
                return self._renderer.fragments(page.template, page_request, counts, variables)

        confined = "" if viewer.actions is None else ",".join(sorted(viewer.actions))
        key = f"{page_request.role} {confined} {page_request.language} {page_request.address}"
        return Watched(address, key, render, page.every)

    def _page_at(self, path: str) -> tuple[Page, Mapping[str, Any]] | None:
        scope = {"type": "http", "path": f"/{path}", "method": "GET", "path_params": {}, "root_path": ""}
        for page, route in self._pages:
            match, child = route.matches(scope)
            if match is Match.FULL:
                return page, child["path_params"]
        return None


class StreamResponse(Response):
    """A stream as the answer of an endpoint."""

    def __init__(self, stream: EventStream) -> None:
        super().__init__()
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._stream(scope, receive, send)
