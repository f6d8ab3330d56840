"""Sign out of the dashboard: the session ends in the database, and the browser forgets its cookie."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from bulkport.dashboard.access.sessions import Sessions
from bulkport.dashboard.access.viewers import Access
from bulkport.dashboard.core import cookies, csrf
from bulkport.dashboard.core.error_page import error_page
from bulkport.dashboard.core.forms import read_form


def signing_out(
    access: Access, sessions: Sessions, cookie: str = cookies.SESSION
) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint of the form on every page."""

    async def sign_out(request: Request) -> Response:
        viewer = await access.viewer(request)
        form = await read_form(request)
        if viewer is None:
            if csrf.comes_from_another_site(request):
                return error_page(request, 403, "Not signed out", "The form was sent from another site.", ("Back", ""))
        elif csrf.refusal(request, viewer, form.get(csrf.FIELD, "")):
            return error_page(request, 403, "Not signed out", "The form was refused; reload the page.", ("Back", ""))
        else:
            await sessions.end([int(viewer.session)])
        response = RedirectResponse("signed-out", 303)
        cookies.delete_cookie(response, request, cookie)
        return response

    return sign_out


async def signed_out(request: Request) -> Response:
    """The page after it."""
    return error_page(request, 200, "Signed out", "You have left the dashboard.", ("Sign in again", ""))
