"""Enforces a minimum pace of request bodies.

A client that announces a body and sends it byte by byte, or not at all, would hold its connection for as long as it
likes.
"""

import asyncio
import time

from starlette.types import Message, Receive

from bulkport.errors import UploadTimedOut
from bulkport.fastapi.request_limits import RequestLimits


def paced(receive: Receive, limits: RequestLimits) -> Receive:
    """ASGI `receive` that raises UploadTimedOut if the request body arrives too slowly.

    What comes after the body, the client's going away, may take any time.
    """
    is_complete = False
    received = 0
    waited = 0.0

    async def receive_in_time() -> Message:
        nonlocal is_complete, received, waited
        if is_complete:
            return await receive()
        started = time.monotonic()
        try:
            async with asyncio.timeout(limits.body_idle_seconds):
                message = await receive()
        except TimeoutError:
            raise UploadTimedOut(
                f"No data arrived for {limits.body_idle_seconds:g} seconds; nothing was stored. Send the body again."
            ) from None
        waited += time.monotonic() - started
        received += len(message.get("body", b""))
        is_complete = not message.get("more_body", False)
        if not is_complete and waited > limits.body_grace_seconds and received < limits.body_min_rate * waited:
            raise UploadTimedOut(
                f"The body arrives at less than {limits.body_min_rate:,} bytes per second; nothing was stored."
            )
        return message

    return receive_in_time
