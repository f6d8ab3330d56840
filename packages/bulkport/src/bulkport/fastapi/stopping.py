"""Is this server about to stop? A stream that never ends by itself would hold that up."""

import signal
from typing import Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def server_is_stopping() -> bool:
    """Whether the uvicorn server that handles this process's signals was asked to stop.

    uvicorn waits for open responses before it tells the application anything (its lifespan ends after them), and its
    server object is nowhere in a request; but it is the one whose method handles the signals. Servers that handle
    signals otherwise close what streams themselves (`Dashboard.end_streams`, `ImportWatch.close`).
    """
    for number in _SIGNALS:
        server = getattr(signal.getsignal(number), "__self__", None)
        if getattr(server, "should_exit", False) is True:
            return True
    return False
