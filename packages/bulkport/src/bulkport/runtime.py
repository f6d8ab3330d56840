"""What a process that serves for long does at its start."""

import asyncio
import gc
from contextlib import suppress


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
