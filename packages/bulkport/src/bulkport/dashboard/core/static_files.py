"""Style sheet, script and icons: read and compressed once, named by content so that browsers cache them."""

import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from bulkport.dashboard.core.security import PAGE_HEADERS

_TYPES: Final = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file to send."""

    address: str
    """Relative to the dashboard, such as `static/dashboard.0f3a9c52.css`."""
    media_type: str
    content: bytes
    compressed: bytes


class StaticFiles:
    """The files that pages refer to."""

    def __init__(self) -> None:
        self._by_name = dict(_read())
        self._by_address = {file.address: file for file in self._by_name.values()}

    def address(self, name: str) -> str:
        """Where the file `name` is, relative to the dashboard."""
        return self._by_name[name].address

    def answer(self, request: Request, address: str) -> Response | None:
        """The file at `address`; None if there is none."""
        file = self._by_address.get(address)
        if file is None:
            return None
        headers = {
            **PAGE_HEADERS,
            "Cache-Control": "public, max-age=31536000, immutable",
            "Vary": "Accept-Encoding",
        }
        if accepts_gzip(request):
            headers["Content-Encoding"] = "gzip"
        content = file.compressed if "Content-Encoding" in headers else file.content
        return Response(content, headers=headers, media_type=file.media_type)


def accepts_gzip(request: Request) -> bool:
    """Whether the client takes gzip (RFC 9110 §12.5.3)."""
    for offer in request.headers.get("accept-encoding", "").split(","):
        coding, _, weight = offer.partition(";")
        if coding.strip().lower() == "gzip":
            return weight.replace(" ", "").rstrip("0") not in {"q=", "q=0."}
    return False


def _read() -> Iterator[tuple[str, StaticFile]]:
    for entry in files("bulkport.dashboard").joinpath("static").iterdir():
        stem, dot, suffix = entry.name.rpartition(".")
        if dot + suffix not in _TYPES:
            continue
        content = entry.read_bytes()
        mark = hashlib.sha256(content).hexdigest()[:12]
        yield (
            entry.name,
            StaticFile(
                address=f"static/{stem}.{mark}.{suffix}",
                media_type=_TYPES[dot + suffix],
                content=content,
                compressed=gzip.compress(content, 9, mtime=0),
            ),
        )
