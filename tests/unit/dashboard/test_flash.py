"""The message that the next page shows."""

from starlette.requests import Request
from starlette.responses import Response

from bulkport.dashboard.core import flash

MOST_KEPT = 4096
"""Bytes of a cookie, with its attributes, that browsers keep (RFC 6265 §6.1)."""


def request(cookie: str = "") -> Request:
    headers = [(b"host", b"localhost"), (b"cookie", cookie.encode())]
    return Request({"type": "http", "scheme": "http", "path": "/", "query_string": b"", "headers": headers})


def test_a_message_in_any_script_survives_the_cookie() -> None:
    for letter in ("a", '"', "\\", "é", "字", "😀"):
        response = Response()
        flash.give(response, request(), flash.Flash(letter * 10_000, is_good=False))
        cookie = response.headers["set-cookie"]
        assert len(cookie) <= MOST_KEPT, letter
        assert flash.take(request(cookie.partition(";")[0])) == flash.Flash(letter * 500, is_good=False)
