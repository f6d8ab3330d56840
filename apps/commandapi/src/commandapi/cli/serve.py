"""`commandapi serve`: the API and its workers on this machine."""

import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from commandapi.listening import Addresses

_log = logging.getLogger(__name__)

Host = Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all interfaces.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any free port.")]
Workers = Annotated[
    int | None,
    typer.Option(
        min=0, help="Worker processes to start with the API; 0 for none.", show_default="one per core", metavar="N"
    ),
]


def serve(*, host: Host = "127.0.0.1", port: Port = 8000, workers: Workers = None) -> None:
    """Serve the API and start worker processes.

    Prints one line with the addresses when it is ready. Ctrl-C stops everything that it started. In development, a
    second line has a one-time link that signs a browser in to the dashboard.
    """
    run_server(host=host, port=port, workers=workers, when_ready=lambda addresses, _: print_addresses(addresses))


def run_server(*, host: str, port: int, workers: int | None, when_ready: "Callable[[Addresses, str], None]") -> None:
    """Serve until a signal ends it.

    Parameters
    ----------
    workers:
        Number of worker processes; None: one per core this process may use.
    when_ready:
        Called in the event loop with the addresses and the database's URL. It must not block.
    """
    from commandapi import listening, serving  # noqa: PLC0415  # slow to import
    from commandapi.cli.database import provide_database  # noqa: PLC0415
    from commandapi.logs import configure_logging  # noqa: PLC0415
    from commandapi.settings import Settings  # noqa: PLC0415

    settings = Settings()
    configure_logging(settings)
    with (
        _signals_end_the_start(),
        listening.bound_socket(host, port) as bound,
        provide_database(settings) as database,
    ):
        database.wait_until_usable(settings.database_start_seconds)
        if database.embedded_server is not None:
            database.fit_row_security(settings)
        plan = serving.ServePlan(
            settings=settings.model_copy(update={"database_url": database.url}),
            host=host,
            port=port,
            workers=_cores() if workers is None else workers,
            embedded_server=database.embedded_server,
            say=_log.warning,
            when_ready=lambda addresses: when_ready(addresses, database.url),
        )
        serving.run(plan, bound)


def print_addresses(addresses: "Addresses") -> None:
    """Print where the server answers, and how to get into its dashboard."""
    print_line(str(addresses))
    if addresses.sign_in is not None:
        print_line(f"Sign in to the dashboard, once and within a day: {addresses.sign_in}")


def print_line(line: str) -> None:
    """Print a line at once, also where standard output is a pipe or a file."""
    print(line, flush=True)  # noqa: T201  # the command's output


@contextmanager
def _signals_end_the_start() -> Iterator[None]:
    """Until the server handles signals itself, let them unwind what was started so far."""

    def unwind(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, unwind)
    yield


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
