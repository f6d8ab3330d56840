"""The route class of Bulkport's routes, independent of the application around them.

Errors become problems (RFC 9457), answers stay out of caches, and paths in answers are those under which the client
reached the route: `include_router(prefix=…)`, mounts and `root_path` included.
"""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from bulkport.connection_user import connection_user
from bulkport.errors import AuthenticationRequired
from bulkport.fastapi.problems import problem_of
from bulkport.fastapi.trace import trace_id_from, trace_id_of_request
from bulkport.identifiers import UserId, user_id_text

Authenticate = Callable[..., Any]
"""FastAPI dependency that returns the request's user id (text, a UUID or an integer), and raises when there is none."""


class BulkportRoute(APIRoute):
    """A route whose errors are problems and whose responses are not cached.

    Exceptions unknown to Bulkport, such as the application's own, propagate to the application's
    handlers.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See FastAPI's "Custom Request and APIRoute class"."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            if trace_id_of_request.get() is None:
                trace_id_of_request.set(trace_id_from(request.scope["headers"]))
            try:
                response = await handle(request)
            except Exception as error:
                problem = problem_of(request, error)
                if problem is None:
                    raise
                response = problem
            response.headers.setdefault("Cache-Control", "no-store")
            return response

        return answer


def user_id_of(value: object) -> UserId:
    """The user id from the result of an application's dependency.

    Raises
    ------
    AuthenticationRequired
        It returned nothing.
    TypeError
        It is not an id.
    """
    if value is None or value == "":
        raise AuthenticationRequired
    try:
        return user_id_text(value)  # type: ignore[arg-type] # checked there
    except TypeError:
        raise TypeError(
            f"the dependency given as user= returned a {type(value).__name__}; it must return the user's id: text, a "
            "UUID or an integer"
        ) from None


def user_dependency(user: Authenticate) -> Authenticate:
    """A dependency that returns the user id as text, wrapping the application's, which may return another type."""

    async def current_user_id(value: Annotated[Any, Depends(user)]) -> UserId:
        user_id = user_id_of(value)
        connection_user.set(user_id)
        return user_id

    return current_user_id
