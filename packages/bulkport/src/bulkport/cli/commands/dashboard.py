"""`bulkport dashboard …`: serves the dashboard for an application that does not mount it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Final

import typer

from bulkport.cli.commands.target import Target, fail, load, plain_errors
from bulkport.extras import require_extra

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from bulkport.app import Bulkport

_PATH: Final = "/jobs"


def dashboard(
    target: Target,
    *,
    host: Annotated[str, typer.Option(help="Address to listen on; others than this need HTTPS.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8080,
    read_only: Annotated[bool, typer.Option("--read-only", help="Show everything, change nothing.")] = False,
) -> None:
    """Serve the dashboard alone, until Ctrl-C. It prints a link that signs one browser in."""
    for module in ("jinja2", "itsdangerous", "starlette"):
        require_extra("dashboard", module)
    if find_spec("uvicorn") is None:
        fail("The dashboard needs a server to run by itself: pip install uvicorn. Or mount it in the application.")
    with plain_errors(target):
        bulkport = load(target)
        try:
            bound = socket.create_server((host, port))
        except OSError as error:
            fail(f"{host}:{port} cannot be listened on: {error.strerror or error}. Choose another --port.")
        with bound:
            asyncio.run(_serve(bulkport, bound, is_read_only=read_only))


async def _serve(bulkport: "Bulkport", bound: socket.socket, *, is_read_only: bool) -> None:
    import uvicorn  # slow to import

    app = _application(bulkport, "http://{}:{}".format(*bound.getsockname()[:2]), is_read_only=is_read_only)
    # One stream a browser stays open: it ends with the server.
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
    await uvicorn.Server(config).serve(sockets=[bound])


def _application(bulkport: "Bulkport", origin: str, *, is_read_only: bool) -> "Starlette":
    from starlette.applications import Starlette
    from starlette.responses import RedirectResponse
    from starlette.routing import Route

    from bulkport.dashboard import LinkAccess, Role, Sessions

    sessions = Sessions(bulkport.opened_pool)
    access = LinkAccess(sessions, role=Role.READ_ONLY if is_read_only else Role.OPERATOR)

    @asynccontextmanager
    async def lifespan(app: "Starlette") -> AsyncIterator[None]:
        async with bulkport.lifespan(app):
            typer.echo(f"Dashboard: {origin}{_PATH}/{await access.new_link()}")
            yield

    app = Starlette(routes=[Route("/", lambda _: RedirectResponse(f"{_PATH}/"))], lifespan=lifespan)
    bulkport.dashboard(access, sessions=sessions).mount(app, _PATH)
    return app
