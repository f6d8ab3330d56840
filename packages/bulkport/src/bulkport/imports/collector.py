"""Python's cyclic garbage collector, out of the way of rows."""

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Pause:
    """Several threads may pause the collector at one time; it goes on when the last of them is done."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._depth = 0
        self._was_enabled = False

    def begin(self) -> None:
        with self._lock:
            if not self._depth:
                self._was_enabled = gc.isenabled()
                gc.disable()
            self._depth += 1

    def end(self) -> None:
        with self._lock:
            self._depth -= 1
            if not self._depth and self._was_enabled:
                gc.enable()


_PAUSE = _Pause()


@contextmanager
def collector_paused() -> Iterator[None]:
    """No cyclic garbage collection: it would visit every row again and again, and finds nothing among them."""
    _PAUSE.begin()
    try:
        yield
    finally:
        _PAUSE.end()
