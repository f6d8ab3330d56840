"""Methods that hand their call on to an object behind, with its signature and its documentation."""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

S = TypeVar("S")
T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")


def forwarded(
    target: Callable[[S], T], call: Callable[Concatenate[T, P], Coroutine[Any, Any, R]]
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]:
    """A method that calls the method `call` of the object that `target` returns."""

    @wraps(call)
    async def forward(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        found: R = await getattr(target(self), call.__name__)(*args, **kwargs)
        return found

    return forward
