"""The processor work of a body, off the event loop: decompressing, splitting, parsing, validating, compressing.

A few kilobytes can make seconds of work. It goes in short steps on a few threads, so that other requests are answered
meanwhile, and all steps of one body together have a limit.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Final, ParamSpec, TypeVar

from bulkport.errors import BodyTooCostly

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")

INLINE_BYTES: Final = 16 * 1024
"""Bodies up to this size are read where they arrive: that takes less time than a change of threads."""
BEGUN_INLINE_BYTES: Final = 256 * 1024
"""Bodies up to this size are begun where they arrive: most are read in a fraction of a millisecond."""
_STEP_SECONDS: Final = 0.004
_INLINE_SECONDS: Final = 0.002
"""Of the processor, until the steps of a body that was begun where it arrived go on elsewhere."""
_THREADS: Final = 2
_LEAST_BYTES_A_SECOND: Final = 16 * 1024 * 1024


class BodyWork:
    """Runs the steps of one body on threads, one after the other.

    Parameters
    ----------
    cpu_seconds:
        What all of them together may take of a processor, beside what the body's size allows (`allow`).
    """

    def __init__(self, cpu_seconds: float) -> None:
        self._allowed = cpu_seconds
        self._left = cpu_seconds

    def allow(self, size: int) -> None:
        """Add the processor time budget of so many decompressed bytes, several times what they usually need."""
        seconds = size / _LEAST_BYTES_A_SECOND
        self._allowed += seconds
        self._left += seconds

    async def run(
        self, function: Callable[_Parameters, _Result], *args: _Parameters.args, **kwargs: _Parameters.kwargs
    ) -> _Result:
        """What the function returns.

        Raises
        ------
        BodyTooCostly
            The body has used up its time.
        """

        def step() -> tuple[_Result, float]:
            started = time.thread_time()
            result = function(*args, **kwargs)
            return result, time.thread_time() - started

        result, seconds = await asyncio.get_running_loop().run_in_executor(_threads(), step)
        self._left -= seconds
        if self._left < 0:
            raise BodyTooCostly(
                f"Reading the body takes more than {self._allowed:.3g} seconds of processor time; send it in parts."
            )
        return result

    async def advance(self, steps: "Iterator[_Result | None]") -> tuple[_Result | None, bool]:
        """Go on with the steps until one gives a result or a few milliseconds are over.

        Returns
        -------
        The result, or None; and whether there may be more.
        """
        return await self.run(_advance, steps)

    async def result(self, steps: "Iterator[_Result | None]", *, size: int) -> _Result:
        """What the steps give at last; all before it is None.

        Parameters
        ----------
        size:
            Bytes of the body. The first steps of a short one go without a change of threads.
        """
        found, has_more = None, True
        if size <= BEGUN_INLINE_BYTES:
            # Time in which the thread did not run does not count.
            found, has_more = _advance(steps, seconds=_INLINE_SECONDS, clock=time.thread_time)
        while found is None and has_more:
            found, has_more = await self.advance(steps)
        assert found is not None
        return found


def _advance(
    steps: "Iterator[_Result | None]",
    seconds: float = _STEP_SECONDS,
    clock: Callable[[], float] = time.perf_counter,
) -> "tuple[_Result | None, bool]":
    until = clock() + seconds
    for result in steps:
        if result is not None or clock() > until:
            return result, True
    return None, False


@lru_cache
def _threads() -> ThreadPoolExecutor:
    # More would only compete with the event loop for the interpreter.
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="body")
