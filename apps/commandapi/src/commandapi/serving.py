"""Runs `commandapi serve`: the API in this process and supervised worker processes."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import Final

import uvicorn
from fastapi import FastAPI

from bulkport.dashboard import LinkAccess
from bulkport.embedded import EmbeddedDatabaseError, EmbeddedServer
from bulkport.errors import BulkportError
from bulkport.runtime import event_loop_factory, share_interpreter, spare_loaded_objects
from bulkport.task_scope import background_task
from commandapi.app import create_app
from commandapi.composition import rescue_server
from commandapi.connections import ConnectionGate, ConnectionLimits, guarded_protocol, raise_descriptor_limit
from commandapi.listening import Addresses, AddressInUse
from commandapi.settings import Settings
from commandapi.supervisor import WorkerCommand, WorkerSupervisor
from commandapi.worker_process import SERVER_NAME_VARIABLE

# Requests in flight get this long after the first Ctrl-C; a second one ends them at once.
_REQUEST_GRACE_SECONDS: Final = 10
# Longer than proxies, load balancers and clients keep theirs (nginx and AWS 60 s, httpx 5 s): who closes an idle
# connection first must be the one that sends on it, or a request meets a connection that is just being closed.
_KEEP_ALIVE_SECONDS: Final = 75
# -P: a folder named commandapi where serve is run from must not be taken for the package.
_PYTHON: Final = (sys.executable, "-P", "-m")
_DATABASE_CHECK_SECONDS: Final = 1.0
_WORKER_CLOSING_SECONDS: Final = 8.0


class ServerFailed(BulkportError):
    """The server could not start; its log says why."""


@dataclass(frozen=True, slots=True)
class ServePlan:
    """What to serve, and how."""

    settings: Settings
    """With `database_url` set."""
    host: str
    port: int
    """0: any free one."""
    workers: int
    embedded_server: EmbeddedServer | None
    say: Callable[[str], None]
    """Prints one line for the operator."""
    when_ready: Callable[[Addresses], None]
    """Called once, in the event loop, when requests are answered. It must not block."""


async def serve(plan: ServePlan, bound: socket.socket) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP, then stop everything that was started.

    A second signal makes short work of it: open requests are cut off and workers killed.

    Raises
    ------
    AddressInUse
        Another server began to listen at the same address first.
    ServerFailed
        The application could not start.
    """
    app = create_app(plan.settings)
    addresses = Addresses.of(
        bound, plan.host, shows_docs=plan.settings.shows_docs, dashboard_path=plan.settings.dashboard_path
    )

    async def tell() -> None:
        access = app.state.dashboard_access
        link = f"{addresses.dashboard}/{await access.new_link()}" if isinstance(access, LinkAccess) else None
        plan.when_ready(replace(addresses, sign_in=link))

    server = _Server(_uvicorn_config(app, plan.settings), tell)
    supervisor = _supervisor(plan)

    def ask_to_stop() -> None:
        if server.should_exit:
            server.force_exit = True
            supervisor.hurry.set()
        server.should_exit = True
        app.state.dashboard.end_streams()
        supervisor.stop.set()

    with _signals_to(ask_to_stop):
        async with background_task(_watch_database(plan), "watch over the database"), _running_until_done(supervisor):
            try:
                await server.serve(sockets=[bound])
            except OSError as error:
                raise AddressInUse.at(plan.host, plan.port, error) from error
            except SystemExit as error:
                raise ServerFailed("The server could not start; see its log above.") from error
            if not server.started:
                raise ServerFailed("The server could not start; see its log above.")


class _Server(uvicorn.Server):
    """uvicorn's server that says when it is ready, and leaves signals to `serve`."""

    def __init__(self, config: uvicorn.Config, when_ready: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._when_ready = when_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        # Before the lifespan starts the loop watchdog, because this blocks the loop for a moment.
        spare_loaded_objects()
        await super().startup(sockets)
        if self.started and not self.should_exit:
            await self._when_ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _uvicorn_config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    gate = ConnectionGate(
        ConnectionLimits(
            in_all=settings.max_connections,
            per_address=settings.max_connections_per_address,
            header_seconds=settings.header_seconds,
            header_bytes=settings.max_header_bytes,
            send_seconds=settings.send_seconds,
        )
    )
    app.state.connections = gate
    app.state.metrics.watch("commandapi_connections", "Open connections of clients.", gate.open.total)
    return uvicorn.Config(
        app,
        loop="none",
        http=guarded_protocol(gate),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_REQUEST_GRACE_SECONDS,
    )


def _supervisor(plan: ServePlan) -> WorkerSupervisor:
    assert plan.settings.database_url is not None

    async def hand_over(server_name: str) -> None:
        await rescue_server(plan.settings, server_name)

    any_task = WorkerCommand(
        arguments=[*_PYTHON, "commandapi.worker_process"],
        environment={
            **os.environ,
            "COMMANDAPI_DATABASE_URL": plan.settings.database_url,
            # Which would otherwise follow from the URL.
            "COMMANDAPI_ENVIRONMENT": plan.settings.environment,
        },
        name_variable=SERVER_NAME_VARIABLE,
    )
    light = replace(any_task, arguments=[*_PYTHON, "commandapi.light_worker"])
    light_workers = plan.settings.light_workers if plan.workers else 0
    return WorkerSupervisor(
        commands=[any_task] * plan.workers + [light] * light_workers,
        say=plan.say,
        on_death=hand_over,
        stop_seconds=plan.settings.worker_shutdown_seconds + _WORKER_CLOSING_SECONDS,
    )


async def _watch_database(plan: ServePlan) -> None:
    """Start the embedded database again when its process has died, as the operator of a configured one would."""
    server = plan.embedded_server
    while server is not None:
        await asyncio.sleep(_DATABASE_CHECK_SECONDS)
        if server.is_running():
            continue
        try:
            if await asyncio.to_thread(server.ensure_running):
                plan.say("the embedded database died and was restarted")
        except EmbeddedDatabaseError as error:
            plan.say(f"the embedded database has died and cannot be started: {error.detail}")
            await asyncio.sleep(10 * _DATABASE_CHECK_SECONDS)


@asynccontextmanager
async def _running_until_done(supervisor: WorkerSupervisor) -> AsyncIterator[None]:
    """Keep the workers beside the context; at its end stop them and wait until the last is gone."""
    running = asyncio.create_task(supervisor.run())
    try:
        yield
    finally:
        supervisor.stop.set()
        await running


@contextmanager
def _signals_to(handler: Callable[[], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    handled = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup(1) sets it
        handled.append(signal.SIGHUP)
    for number in handled:
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
            # What remains is stopping the embedded database: another Ctrl-C must not cut that short.
            signal.signal(number, signal.SIG_IGN)


def run(plan: ServePlan, bound: socket.socket) -> None:
    """`serve` on an event loop of its own."""
    # Its "Started server process" lines say less than the one line with the addresses.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    raise_descriptor_limit()
    share_interpreter()
    with asyncio.Runner(loop_factory=event_loop_factory()) as runner:
        runner.run(serve(plan, bound))
