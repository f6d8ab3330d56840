"""A worker server: what a worker process runs from its start to its end."""

import asyncio
import hashlib
import os
import signal
import socket
import sys
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import psycopg
from psycopg.errors import UndefinedColumn, UndefinedFunction, UndefinedTable

from bulkport.backoff import Backoff
from bulkport.jobs.errors import WorkerLost
from bulkport.jobs.port import JobEngine, WorkerOptions
from bulkport.logs import get_logger, log_to_stderr
from bulkport.runtime import event_loop_factory, share_interpreter, spare_loaded_objects

_log = get_logger(__name__)

_FIRST_RESTART_SECONDS = 0.2
_LONGEST_RESTART_SECONDS = 5.0


class WorkerServer:
    """Runs the jobs of an engine until it is asked to stop, and survives database outages.

    Parameters
    ----------
    engine
        With its tasks declared.
    options
        The server opens six connections of its own. A parent that starts this process gives it a fresh name, and says
        it to `JobEngine.rescue` when it has seen the process die; otherwise see `new_server_name`.

    Examples
    --------
    >>> stop = asyncio.Event()
    >>> stop_on_signals(stop)
    >>> await WorkerServer(engine, WorkerOptions(database_url, new_server_name())).run(stop)
    """

    def __init__(self, engine: JobEngine, options: WorkerOptions) -> None:
        self._engine = engine
        self._options = options

    async def run(self, stop: asyncio.Event) -> None:
        """Run jobs until `stop` is set; return when the running ones have ended or been handed back.

        A job that cannot be cancelled is left running: end the process then, and it starts elsewhere.
        """
        waits = Backoff(_FIRST_RESTART_SECONDS, _LONGEST_RESTART_SECONDS)
        loop = asyncio.get_running_loop()
        while not stop.is_set():
            begun, delay = loop.time(), waits.next_delay()
            try:
                await self._engine.run_worker(self._options, stop)
            except WorkerLost:
                waits.reset()
                continue
            except psycopg.OperationalError as error:
                _log.warning("worker cannot run", error=str(error).strip(), retry_seconds=delay)
            except (UndefinedTable, UndefinedColumn, UndefinedFunction) as error:
                _log.warning(
                    "worker cannot run: the database lacks this version's tables",
                    error=error.diag.message_primary,
                    retry_seconds=delay,
                )
            except Exception:
                # One of the two edges where everything is caught: a worker server does not end by itself.
                _log.exception("worker ended unexpectedly", retry_seconds=delay)
            else:
                if stop.is_set():
                    return
                _log.error("worker stopped without being asked", retry_seconds=delay)
            if loop.time() - begun > _LONGEST_RESTART_SECONDS:
                waits.reset()
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await stop.wait()


def new_server_name() -> str:
    """A name that no other server has or had."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:12]}"


def run_until_signal(run: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run a worker process: call `run` on a new event loop with an event that SIGTERM and SIGINT set.

    It returns when `run` does: running jobs have ended by then, or been handed back. A process that has set up no logs
    prints those of the worker on its standard error.

    Examples
    --------
    >>> run_until_signal(lambda stop: jobs.run_worker(DATABASE_URL, stop, queues=["mail"]))
    """

    async def work() -> None:
        stop = asyncio.Event()
        stop_on_signals(stop)
        await run(stop)

    log_to_stderr()
    spare_loaded_objects()
    share_interpreter()
    with asyncio.Runner(loop_factory=event_loop_factory()) as runner:
        runner.run(work())


def stop_on_signals(stop: asyncio.Event) -> None:
    """Set `stop` on SIGTERM or SIGINT (POSIX; elsewhere Ctrl-C raises KeyboardInterrupt as usual).

    Call it in the main thread with the event loop running.
    """
    if sys.platform == "win32":
        return
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


_PREFIX: Final = "bulkport worker "


def session_mark(server_name: str) -> str:
    """The `application_name` of the connections that the tasks of a server use.

    A process that stands still (a stopped virtual machine, a debugger, a cut network) keeps its transactions open, and
    whoever takes its jobs over would wait for their row locks. So when a server is given up for dead, the engine ends
    those of its sessions that carry its mark.

    The name is hashed because PostgreSQL cuts it to 63 bytes; the engine's statements make the same mark in SQL.
    """
    return _PREFIX + hashlib.md5(server_name.encode(), usedforsecurity=False).hexdigest()
