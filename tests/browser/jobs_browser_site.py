"""A server with real jobs and a worker for them, in a thread, so that a test can drive a browser meanwhile."""

import asyncio
import socket
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import uvicorn

from jobs_dashboard_site import JobsSite, open_jobs_site

T = TypeVar("T")
_SECONDS = 60


class JobsBrowserSite:
    """The site as a test has it: its jobs, and where its dashboard is."""

    def __init__(self, loop: asyncio.AbstractEventLoop, jobs_site: JobsSite, url: str) -> None:
        self._loop = loop
        self.site = jobs_site
        self.jobs = jobs_site.jobs
        self.url = url
        """Of the dashboard, with a slash at its end."""

    def do(self, what: Coroutine[Any, Any, T]) -> T:
        """Do something where the site runs."""
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(_SECONDS)


@contextmanager
def serving_jobs(database_url: str, *, step_seconds: float = 2.0) -> Iterator[JobsBrowserSite]:
    """Serve the dashboard of a fresh database, with a worker called worker-a, for as long as the context lasts."""
    started: list[JobsBrowserSite] = []
    failed: list[BaseException] = []
    is_ready = threading.Event()
    stop: asyncio.Event | None = None

    async def serve() -> None:
        nonlocal stop
        stop = asyncio.Event()
        async with open_jobs_site(database_url) as (jobs_site, pool), jobs_site.worker(name="worker-a"):
            app = jobs_site.build(pool, step_seconds=step_seconds)
            server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
            with socket.socket() as bound:
                bound.bind(("127.0.0.1", 0))
                running = asyncio.create_task(server.serve(sockets=[bound]))
                address = f"http://127.0.0.1:{bound.getsockname()[1]}/hangfire/"
                started.append(JobsBrowserSite(asyncio.get_running_loop(), jobs_site, address))
                while not server.started and not running.done():
                    await asyncio.sleep(0.02)
                is_ready.set()
                await stop.wait()
                app.state.dashboard.end_streams()
                server.should_exit = True
                await running

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            failed.append(error)
        finally:
            is_ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    assert is_ready.wait(_SECONDS)
    try:
        if started and not failed:
            yield started[0]
    finally:
        if stop is not None and thread.is_alive():
            started[0]._loop.call_soon_threadsafe(stop.set)
        thread.join(_SECONDS)
    if failed:
        raise failed[0]
