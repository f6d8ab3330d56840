"""Stops the work of a request when its client disconnects.

A search that takes a minute takes it also when its client hung up after half a second. So a request without a body is
carried out in a task, which is cancelled when the client goes: psycopg then cancels the statement in PostgreSQL.

A request with a body finds out while it reads. Once the body is here, it is looked at only if the work on it takes
longer than most: a change that has not been committed by then is taken back.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_PATIENCE_SECONDS: Final = 0.1
"""How long a request with a body is worked on before anybody looks whether its client is still there."""


async def run_while_connected(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve a request until it is answered or its client has gone.

    A request with a body in several parts passes unchanged: the reader of the body detects it.

    Parameters
    ----------
    app, scope, receive, send:
        As ASGI 3 has them.
    """
    first = await receive()
    if first["type"] != "http.request" or first.get("more_body", False):
        await app(scope, _replay(first, receive), send)
        return
    gone = asyncio.Event()
    has_ended = False

    async def receive_on() -> Message:
        nonlocal first
        if first["type"] == "http.request":
            message, first = first, {"type": "http.disconnect"}
            return message
        await gone.wait()
        return first

    async def send_on(message: Message) -> None:
        nonlocal has_ended
        await send(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            has_ended = True

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    serving = asyncio.ensure_future(app(scope, receive_on, send_on))
    watching = asyncio.create_task(watch())
    try:
        await asyncio.wait({serving, watching}, return_when=asyncio.FIRST_COMPLETED)
        # uvicorn also says that the client has gone when the answer is complete.
        if not serving.done():
            gone.set()
            if not has_ended:
                serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
    finally:
        watching.cancel()
        if not serving.done():
            serving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await serving


async def run_until_gone(
    app: ASGIApp, scope: Scope, receive: Receive, send: Send, *, has_begun: Callable[[], bool]
) -> None:
    """Serve a request with a body until it is answered, or its client has gone after all of the body had come.

    Parameters
    ----------
    app, scope, receive, send:
        As ASGI 3 has them.
    has_begun:
        Whether the answer has begun; then the work is done.
    """
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    is_complete = is_late = is_gone = False
    watching: asyncio.Task[None] | None = None

    async def watch() -> None:
        nonlocal is_gone
        while (await receive())["type"] != "http.disconnect":
            pass
        if not has_begun():
            is_gone = True
            task.cancel()

    def begin() -> None:
        nonlocal is_late, watching
        is_late = True
        if is_complete and watching is None:
            watching = loop.create_task(watch())

    async def receive_on() -> Message:
        nonlocal is_complete
        message = await receive()
        if not is_complete and not message.get("more_body", False):
            is_complete = True
            if is_late:
                begin()
        return message

    timer = loop.call_later(_PATIENCE_SECONDS, begin)
    try:
        await app(scope, receive_on, send)
    except asyncio.CancelledError:
        if not is_gone or task.uncancel():
            raise
    finally:
        timer.cancel()
        if watching is not None:
            watching.cancel()


def _replay(first: Message, receive: Receive) -> Receive:
    has_begun = False

    async def receive_on() -> Message:
        nonlocal has_begun
        if has_begun:
            return await receive()
        has_begun = True
        return first

    return receive_on
