"""A viewer's preferences for appearance and language, stored in cookies."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from bulkport.dashboard.core import cookies
from bulkport.dashboard.core.forms import way_back
from bulkport.dashboard.core.language import LANGUAGES, t
from bulkport.dashboard.core.responses import LOOKS
from bulkport.dashboard.request_context import accepted_form, lead_to, page_request_of, viewer_of
from bulkport.errors import BadRequest

_PREFERENCE_SECONDS: Final = 365 * 24 * 3600


async def choose_look(request: Request) -> Response:
    """Keep a theme, a density or a way to show times."""
    viewer = viewer_of(request)
    form = await accepted_form(request, viewer)
    chosen = [(cookie, form[name]) for name, (cookie, values) in LOOKS.items() if form.get(name) in values]
    if not chosen:
        raise BadRequest(t("Unknown theme."))
    response = lead_to(page_request_of(request, viewer), way_back(form))
    for cookie, value in chosen:
        cookies.set_cookie(response, request, cookie, value, max_age=_PREFERENCE_SECONDS)
    return response


async def choose_language(request: Request) -> Response:
    """Keep a language."""
    viewer = viewer_of(request)
    form = await accepted_form(request, viewer)
    language = form.get("language", "")
    if language not in LANGUAGES:
        raise BadRequest(t("Unknown language."))
    response = lead_to(page_request_of(request, viewer), way_back(form))
    cookies.set_cookie(response, request, cookies.LANGUAGE, language, max_age=_PREFERENCE_SECONDS)
    return response
