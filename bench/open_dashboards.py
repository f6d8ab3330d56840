"""`python -m bench.open_dashboards HOST PORT COUNT`: so many open pages of the dashboard, until it is ended.

Prints `open` once all of them are told of changes.
"""

import selectors
import socket
import sys
from contextlib import ExitStack
from typing import Final
from urllib.parse import quote

_PAGES: Final = ("", "jobs", "jobs?state=failed", "servers", "tasks")
_PATIENCE_SECONDS: Final = 10.0


def main(host: str, port: int, count: int) -> None:
    """Open the pages and read their streams."""
    with ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        for number in range(count):
            watched = stack.enter_context(socket.create_connection((host, port), timeout=_PATIENCE_SECONDS))
            page = _PAGES[number % len(_PAGES)]
            watched.sendall(f"GET /hangfire/live/?watch={quote(page)} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
            if not (head := watched.recv(65_536)).startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"no live updates: {head[:200]!r}")
            selector.register(watched, selectors.EVENT_READ)
        print("open", flush=True)
        while True:
            for key, _ in selector.select():
                assert isinstance(key.fileobj, socket.socket)
                if not key.fileobj.recv(1_000_000):
                    raise SystemExit("a page was closed")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
