"""Stop working for a client that has gone away.

A search that takes a minute takes it also when its client hung up after half a second. So a request without a body is
carried out in a task, which is cancelled when the client goes: psycopg then cancels the statement in PostgreSQL.
"""

import asyncio
import contextlib

from starlette.types import ASGIApp, Message, Receive, Scope, Send


async def run_while_connected(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve a request until it is answered or its client has gone.

    A request with a body in several parts is served as it is: whoever reads the body finds out.

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


def _replay(first: Message, receive: Receive) -> Receive:
    has_begun = False

    async def receive_on() -> Message:
        nonlocal has_begun
        if has_begun:
            return await receive()
        has_begun = True
        return first

    return receive_on
