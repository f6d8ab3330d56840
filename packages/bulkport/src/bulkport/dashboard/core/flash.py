"""Flash messages: the result of an action, shown once on the next page."""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from bulkport.dashboard.core import cookies

_SECONDS: Final = 60
_MAX_CHARACTERS: Final = 500


@dataclass(frozen=True, slots=True)
class Flash:
    """One message."""

    text: str
    is_good: bool = True


def give(response: Response, request: Request, message: Flash) -> None:
    """Leave a message for the page that `response` leads to."""
    # As it is: escapes could make the cookie longer than the 4096 bytes that browsers keep.
    content = json.dumps([message.text[:_MAX_CHARACTERS], message.is_good], ensure_ascii=False).encode()
    cookies.set_cookie(
        response,
        request,
        cookies.FLASH,
        base64.urlsafe_b64encode(content).decode(),
        max_age=_SECONDS,
        same_site="strict",
    )


def take(request: Request) -> Flash | None:
    """The message left for this page. Whoever shows it deletes the cookie."""
    raw = cookies.read(request, cookies.FLASH)
    if not raw:
        return None
    try:
        content = json.loads(base64.b64decode(raw.encode("ascii"), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError):
        return None
    match content:
        case [str(text), bool(is_good)]:
            return Flash(text, is_good)
        case _:
            return None
