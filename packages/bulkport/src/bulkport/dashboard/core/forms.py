"""Parses posted forms and the addresses to return to."""

from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from starlette.requests import Request

from bulkport.dashboard.core.action import Form
from bulkport.dashboard.core.language import t
from bulkport.errors import BadRequest

_MAX_BYTES: Final = 2**20
_MAX_FIELDS: Final = 20_000


async def read_form(request: Request) -> Form:
    """The fields of `application/x-www-form-urlencoded`.

    Raises
    ------
    BadRequest
        If it is anything else, or longer than 1 MiB.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise BadRequest(t("This request is not a form of the dashboard."))
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _MAX_BYTES:
            raise BadRequest(t("The form is too long."))
    try:
        text = body.decode("utf-8")
        return Form(parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_FIELDS))
    except ValueError:
        raise BadRequest(t("The form cannot be read.")) from None


def way_back(form: Form) -> str:
    """The page that a form was on, relative to the dashboard; never an address elsewhere."""
    back = form.get("back", "")
    return back if is_inside(back) else ""


def is_inside(address: str) -> bool:
    """Whether an address relative to the dashboard stays in it."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    leads_away = parts.scheme or parts.netloc or address.startswith("/") or "\\" in address or not address.isprintable()
    return not leads_away and ".." not in unquote(parts.path).split("/")
