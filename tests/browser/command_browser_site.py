"""The Command API on a port, on an event loop of its own, so that a test can drive a browser meanwhile."""

import asyncio
import socket
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any, TypeVar

import uvicorn

from command_site import CommandSite, open_command_site

T = TypeVar("T")
_SECONDS = 60


class CommandBrowserSite:
    """The site as a test has it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.url = ""
        """Of the dashboard, with a slash at its end."""
        self.site: CommandSite
        self.stack = AsyncExitStack()
        """What is open until the test ends; a worker, for one."""

    def do(self, what: Coroutine[Any, Any, T]) -> T:
        """Do something where the site runs."""
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(_SECONDS)

    async def open(self, database_url: str) -> None:
        """Serve the dashboard."""
        self.site = await self.stack.enter_async_context(open_command_site(database_url, chunk_bytes=200))
        server = uvicorn.Server(uvicorn.Config(self.site.app, log_level="warning", lifespan="off"))
        bound = self.stack.enter_context(socket.socket())
        bound.bind(("127.0.0.1", 0))
        running = asyncio.create_task(server.serve(sockets=[bound]))

        async def stop() -> None:
            self.site.app.state.dashboard.end_streams()
            server.should_exit = True
            await running

        self.stack.push_async_callback(stop)
        while not server.started and not running.done():
            await asyncio.sleep(0.02)
        self.url = f"http://127.0.0.1:{bound.getsockname()[1]}/hangfire/"


@contextmanager
def serving_commands(database_url: str) -> Iterator[CommandBrowserSite]:
    """Serve the Command API on a fresh database for as long as the context lasts. There is no worker yet."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    site = CommandBrowserSite(loop)
    try:
        site.do(site.open(database_url))
        yield site
    finally:
        site.do(site.stack.aclose())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_SECONDS)
        loop.close()
