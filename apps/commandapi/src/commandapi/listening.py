"""The address that a server listens on, and the URLs to visit it by."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bulkport.errors import BulkportError


class AddressInUse(BulkportError):
    """The address to serve at cannot be used."""

    @classmethod
    def at(cls, host: str, port: int, error: OSError) -> "AddressInUse":
        """The error with the system's reason and its remedy."""
        reason = os.strerror(error.errno) if error.errno else str(error)
        return cls(f"Cannot serve at {host}:{port}: {reason}. Choose another with --port.")


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running server answers."""

    api: str
    docs: str | None
    """None if the docs page is off."""
    dashboard: str
    sign_in: str | None = None
    """A link that signs one browser in to the dashboard; None if there is none to print."""

    def __str__(self) -> str:
        return f"Command API: {self.api}  docs: {self.docs or 'off'}  dashboard: {self.dashboard}"

    @classmethod
    def of(cls, bound: socket.socket, host: str, *, shows_docs: bool, dashboard_path: str) -> "Addresses":
        """The URLs of a bound socket; `host` is the requested host."""
        visited, port = bound.getsockname()[:2]
        if visited in {"0.0.0.0", "::"}:  # noqa: S104  # read, not bound: nobody can visit "all addresses"
            visited = "127.0.0.1" if bound.family == socket.AF_INET else "::1"
        elif host == "localhost":
            visited = host
        root = f"http://[{visited}]:{port}" if ":" in visited else f"http://{visited}:{port}"
        return cls(api=root, docs=f"{root}/docs" if shows_docs else None, dashboard=f"{root}{dashboard_path}")


@contextmanager
def bound_socket(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that is bound but does not listen yet: clients are refused until the server is ready.

    Parameters
    ----------
    port:
        0: any free one.

    Raises
    ------
    AddressInUse
        Another server has the port, or the address is not of this machine.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise AddressInUse(f"{host} is not an address to serve at: {error.strerror or error}") from error
    with bound:
        try:
            if os.name == "posix":
                # The port of a server that has just stopped is free; one in use is not (ip(7)).
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except OSError as error:
            raise AddressInUse.at(host, port, error) from error
        yield bound
