"""Paths as clients see them, with `include_router(prefix=…)`, mounts and `root_path`."""

from urllib.parse import quote

from starlette.requests import Request


def client_path(request: Request) -> str:
    """The path by which the client reached the application, percent-decoded."""
    path: str = request.scope["path"]
    root: str = request.scope.get("root_path", "").rstrip("/")
    # A mount, and uvicorn's --root-path, are part of the path. A prefix that a proxy removes is in the root path alone.
    return path if path.startswith(root) else root + path


def request_path(request: Request) -> str:
    """The same, percent-encoded."""
    return quote(client_path(request))


def base_path(request: Request, below: str) -> str:
    """The path below which Bulkport's routes are.

    Parameters
    ----------
    below
        What the route adds to it, such as `/imports`; what follows in the path does not count.
    """
    return request_path(request).rpartition(below)[0]
