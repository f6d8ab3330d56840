"""One worker process: `commandapi worker`, and `python -m commandapi.worker_process` as `serve` starts it.

The difference is who ends it. A worker of its own ends by a signal. One that `serve` started also ends when `serve`
is gone, which it sees by end of file on its standard input, and is less urgent than the server that shares its machine
(`worker_nice`) where it runs heavy tasks.
"""

import asyncio
import contextlib
import logging
import os
import signal
from pathlib import Path
from typing import Final

from bulkport.runtime import event_loop_factory, share_interpreter, spare_loaded_objects
from commandapi.composition import run_worker
from commandapi.logs import configure_logging
from commandapi.settings import Settings
from commandapi.supervisor import stdin_closed

_log = logging.getLogger(__name__)

SERVER_NAME_VARIABLE: Final = "COMMANDAPI_SERVER_NAME"
"""Environment variable with the name under which the worker claims jobs; unset: the worker makes one."""

# Beyond the grace for running jobs, for giving them back and closing connections.
_CLOSING_SECONDS: Final = 5.0


async def work(settings: Settings, *, concurrency: int, heavy: bool = True, ends_with_parent: bool = False) -> None:
    """Run background jobs until SIGTERM, SIGINT or (`ends_with_parent`) the end of the parent process.

    The first signal lets running jobs end within `worker_shutdown_seconds`; a second one, or that time and a little
    more, ends the process at once. Jobs that were running then are run again by another worker.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def ask_to_stop(reason: str) -> None:
        if stop.is_set():
            os._exit(1)
        _log.info("stopping: %s", reason)
        stop.set()
        loop.call_later(settings.worker_shutdown_seconds + _CLOSING_SECONDS, os._exit, 1)

    for signal_number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signal_number, ask_to_stop, signal_number.name)

    async def end_with_parent() -> None:
        await stdin_closed()
        ask_to_stop("the server that started this worker is gone")

    watching = asyncio.create_task(end_with_parent()) if ends_with_parent else None
    try:
        name = os.environ.get(SERVER_NAME_VARIABLE)
        await run_worker(settings, concurrency=concurrency, heavy=heavy, stop=stop, server_name=name)
    finally:
        if watching is not None:
            watching.cancel()


def run(settings: Settings, *, concurrency: int, heavy: bool = True, ends_with_parent: bool = False) -> None:
    """`work` on an event loop of its own, with this process's logs set up."""
    configure_logging(settings)
    spare_loaded_objects()
    share_interpreter()
    with asyncio.Runner(loop_factory=event_loop_factory()) as runner:
        runner.run(work(settings, concurrency=concurrency, heavy=heavy, ends_with_parent=ends_with_parent))


def run_beside_server(*, heavy: bool = True) -> None:
    """Run a worker that `serve` started, configured by its environment."""
    settings = Settings()
    if heavy and settings.worker_nice:
        _be_less_urgent(settings.worker_nice)
    run(settings, concurrency=settings.worker_concurrency, heavy=heavy, ends_with_parent=True)


def _be_less_urgent(nice: int) -> None:
    os.nice(nice)
    # Where Linux schedules sessions as groups, niceness counts within a session only, and this process has its own
    # (sched(7), "The autogroup feature").
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(nice), encoding="ascii")


if __name__ == "__main__":
    run_beside_server()
