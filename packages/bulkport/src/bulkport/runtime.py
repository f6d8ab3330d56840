"""What a process that serves for long does at its start."""

import asyncio
import gc
import signal
import sys
from contextlib import suppress
from typing import Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_SWITCH_SECONDS: Final = 0.0001


def event_loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    """uvloop's event loop where it exists, in which jobs begin sooner; None: asyncio's own."""
    with suppress(ImportError):
        import uvloop  # noqa: PLC0415  # not on Windows

        return uvloop.Loop
    return None


def spare_loaded_objects() -> None:
    """Have garbage collections pass over what has been loaded by now: modules, classes, routes, compiled schemas.

    It stays as long as the process. Each full collection would look at all of it, for a tenth of a second in which
    neither requests nor jobs go on. See `gc.freeze` in Python's manual.
    """
    gc.collect()
    gc.freeze()


def share_interpreter() -> None:
    """Give the event loop its turn within a tenth of a millisecond while threads work on a body or on rows.

    Python's own interval of five milliseconds adds up over the turns that a request or a small import takes. With this
    one, large imports take 3 % more processor time.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)


def server_is_stopping() -> bool:
    """Whether the uvicorn server that handles this process's signals was asked to stop.

    uvicorn waits for open responses before it notifies the application (its lifespan ends after them), and its
    server object is nowhere in a request; but it is the one whose method handles the signals. Servers that handle
    signals otherwise close what streams themselves (`Dashboard.end_streams`, `ImportWatch.close`).
    """
    for number in _SIGNALS:
        server = getattr(signal.getsignal(number), "__self__", None)
        if getattr(server, "should_exit", False) is True:
            return True
    return False
