"""What a running job does at this moment: the frames of its code, from the task's function to where it waits or works.

It is read from another thread, so that it is found even while the job keeps the event loop to itself. Values are never
read: a frame is a file, a line and a function.
"""

import asyncio
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, Final, TypeAlias

from bulkport.jobs.threads import thread_of

MOST_FRAMES: Final = 100
"""Frames of a stack that are read, the innermost ones."""
MOST_STACKS: Final = 500
"""Different stacks of a profile that are told apart."""
_SAMPLE_SECONDS: Final = 0.01
_MOST_AWAITED: Final = 1_000

Run: TypeAlias = asyncio.Task[Any]
Place: TypeAlias = tuple[CodeType, int]
"""A function's code, and a line in it."""


def stack_of(run: Run, loop: asyncio.AbstractEventLoop, loop_thread: int) -> str:
    """The stack of a run as Python writes one, the innermost frame last; empty if the run has just ended."""
    frames = [
        traceback.FrameSummary(code.co_filename, line, code.co_qualname)
        for code, line in _places(run, loop, loop_thread)
    ]
    return "".join(traceback.format_list(frames))


class Profile:
    """Looks at a run a hundred times a second, in a thread of its own, until it has ended or the time is over.

    Parameters
    ----------
    seconds
        How long to look.
    on_done
        Called in that thread once it is over.
    """

    def __init__(
        self,
        run: Run,
        loop: asyncio.AbstractEventLoop,
        loop_thread: int,
        seconds: float,
        on_done: Callable[["Profile"], None],
    ) -> None:
        self._run = run
        self._loop = loop
        self._loop_thread = loop_thread
        self._end = time.monotonic() + seconds
        self._on_done = on_done
        self._stacks: Counter[tuple[str, ...]] = Counter()
        self.last_stack = ""
        """Of the last time that it looked."""
        threading.Thread(target=self._look, name="profile of a job", daemon=True).start()

    @property
    def folded(self) -> str:
        """The stacks with how often each was seen, one a line: `outer (file:3);inner (file:9) 17`, as tools for flame
        graphs read it; the most frequent first."""
        return "".join(f"{';'.join(stack)} {count}\n" for stack, count in self._stacks.most_common(MOST_STACKS))

    def _look(self) -> None:
        while time.monotonic() < self._end and not self._run.done():
            places = _places(self._run, self._loop, self._loop_thread)
            if places:
                self._stacks[tuple(map(_name, places))] += 1
            time.sleep(_SAMPLE_SECONDS)
        self.last_stack = stack_of(self._run, self._loop, self._loop_thread)
        self._on_done(self)


def _name(place: Place) -> str:
    code, line = place
    return f"{code.co_qualname} ({code.co_filename}:{line})".replace(";", ",")


def _places(run: Run, loop: asyncio.AbstractEventLoop, loop_thread: int) -> list[Place]:
    """From the outermost frame to the innermost."""
    try:
        thread = thread_of(run)
        if thread is not None:
            return _of_thread(thread, None)
        if asyncio.current_task(loop) is run:
            # It has the event loop: what it awaits says nothing, and its thread all.
            return _of_thread(loop_thread, getattr(run.get_coro(), "cr_code", None))
        return _awaited(run)
    except (RuntimeError, AttributeError):
        # It went on in the meantime.
        return []


def _of_thread(thread: int, outermost: CodeType | None) -> list[Place]:
    frame: FrameType | None = sys._current_frames().get(thread)  # noqa: SLF001 - the documented way
    places: list[Place] = []
    while frame is not None:
        if len(places) < MOST_FRAMES:
            places.append((frame.f_code, frame.f_lineno))
        if frame.f_code is outermost:
            break
        frame = frame.f_back
    return places[::-1]


def _awaited(run: Run) -> list[Place]:
    """Where a coroutine waits, through all that it awaits, other tasks too."""
    places: list[Place] = []
    seen: set[int] = set()
    task: Any = run
    while task is not None and id(task) not in seen and len(places) < _MOST_AWAITED:
        seen.add(id(task))
        waiting: Any = task.get_coro()
        while waiting is not None and len(places) < _MOST_AWAITED:
            for kind in ("cr", "ag", "gi"):
                frame = getattr(waiting, f"{kind}_frame", None)
                if frame is not None:
                    places.append((frame.f_code, frame.f_lineno))
                    waiting = getattr(waiting, "gi_yieldfrom" if kind == "gi" else f"{kind}_await", None)
                    break
            else:
                waiting = None
        task = _task_behind(getattr(task, "_fut_waiter", None))
    return places[-MOST_FRAMES:]


def _task_behind(future: Any) -> Any:
    """The task of a future: itself, or the first unfinished one of a gathering."""
    if isinstance(future, asyncio.Task):
        return future
    children = getattr(future, "_children", ())
    return next((child for child in children if isinstance(child, asyncio.Task) and not child.done()), None)
