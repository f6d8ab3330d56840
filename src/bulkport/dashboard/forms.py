"""Forms as browsers post them, and the addresses they lead back to."""

from typing import Final
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request

from bulkport.dashboard.actions import Form
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
        raise BadRequest("This is no form that the dashboard has.")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _MAX_BYTES:
            raise BadRequest("The form is too long.")
    try:
        text = body.decode("utf-8")
        return Form(parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_FIELDS))
    except ValueError:
        raise BadRequest("The form cannot be read.") from None


def way_back(form: Form) -> str:
    """The page that a form was on, relative to the dashboard; never an address elsewhere."""
    back = form.get("back", "")
    try:
        parts = urlsplit(back)
    except ValueError:
        return ""
    is_inside = not (parts.scheme or parts.netloc or back.startswith("/") or "\\" in back or not back.isprintable())
    return back if is_inside and ".." not in parts.path.split("/") else ""
