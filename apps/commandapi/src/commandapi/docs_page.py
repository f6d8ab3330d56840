"""The API documentation page: Swagger UI from files of an installed package.

Nothing is loaded from another host, so the page works offline, and its content security policy allows nothing else.
"""

from importlib.resources import files
from typing import Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

# Every address is relative to /docs, so the page also works behind a proxy that serves it under a prefix.
_PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Command API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/files/swagger-ui.css">
</head>
<body>
<div id="docs"></div>
<script src="docs/theme.js"></script>
<script src="docs/files/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""

# Swagger UI's dark theme is a class of the document; it follows the system's.
_THEME: Final = """\
const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();
"""

_START: Final = """\
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  displayRequestDuration: true,
  persistAuthorization: true,
  tryItOutEnabled: true,
  validatorUrl: null,
});
"""

# Swagger UI sets style attributes and draws its icons from data: URLs.
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def add_docs_page(app: FastAPI) -> None:
    """Serve the page at `/docs`, and lead visitors of `/` to it."""
    app.router.routes += [
        Route("/", _to_docs),
        Route("/docs", _page),
        Route("/docs/theme.js", _theme),
        Route("/docs/start.js", _start),
        Mount("/docs/files", StaticFiles(directory=str(files("fastapi_offline") / "static"))),
    ]


async def _to_docs(request: Request) -> Response:
    return RedirectResponse("docs")


async def _page(request: Request) -> Response:
    return Response(_PAGE, media_type="text/html", headers=_HEADERS)


async def _theme(request: Request) -> Response:
    return Response(_THEME, media_type="text/javascript")


async def _start(request: Request) -> Response:
    return Response(_START, media_type="text/javascript")
