"""Supervises worker processes.

A worker that ends is said so, with its process id and its signal or exit code, and started again: at once the first
time, later with growing pauses while it keeps ending early. A worker holds the reading end of a pipe as its standard
input and the supervisor the writing end, so a worker sees its parent die by end of file, whatever killed it.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bulkport.backoff import Backoff

_log = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 30.0
# A worker that ran this long had started well; its next end is not blamed on how it starts.
_SETTLED_SECONDS: Final = 30.0
_RESCUE_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class WorkerCommand:
    """How to start one worker process."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    name_variable: str
    """Environment variable that gets the worker's unique name."""


@dataclass(slots=True)
class WorkerSupervisor:
    """Keeps a worker of each command running until asked to stop.

    Parameters
    ----------
    say:
        Prints one line for the operator.
    on_death:
        Called with a dead worker's unique name, so that its work can be taken over at once.
    stop_seconds:
        Longest wait for workers that were asked to stop; after it they are killed.
    """

    commands: Sequence[WorkerCommand]
    say: Callable[[str], None]
    on_death: Callable[[str], Awaitable[None]]
    stop_seconds: float
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    """Set it to ask all workers to stop (SIGTERM)."""
    hurry: asyncio.Event = field(default_factory=asyncio.Event)
    """Set it to have all workers killed (SIGKILL) that are still there once `stop` is set."""

    async def run(self) -> None:
        """Keep the workers running; returns when `stop` is set and none is left."""
        async with asyncio.TaskGroup() as group:
            for number, command in enumerate(self.commands, start=1):
                group.create_task(self._keep(number, command))

    async def _keep(self, number: int, command: WorkerCommand) -> None:
        pauses = Backoff(_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS, jitter=0)
        while not self.stop.is_set():
            name = f"{os.uname().nodename}:{os.getpid()}:{number}:{uuid.uuid4().hex[:8]}"
            started = time.monotonic()
            try:
                process = await self._start(command, name)
            except OSError as error:
                pause = pauses.next_delay()
                self.say(f"worker {number} cannot be started ({error}); trying again in {pause:g} s")
                await _first_of(self.stop, seconds=pause)
                continue
            ended = await self._watch(process)
            if not ended:
                return
            if time.monotonic() - started > _SETTLED_SECONDS:
                pauses.reset()
                pause = 0.0
            else:
                pause = pauses.next_delay()
            again = "starting it again" if pause <= _FIRST_PAUSE_SECONDS else f"starting it again in {pause:g} s"
            self.say(f"worker {number} (pid {process.pid}) {_how_it_ended(process.returncode)}; {again}")
            await self._rescue(name)
            if pause > _FIRST_PAUSE_SECONDS:
                await _first_of(self.stop, seconds=pause)

    async def _start(self, command: WorkerCommand, name: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *command.arguments,
            stdin=asyncio.subprocess.PIPE,
            # In a session of its own a worker does not get the terminal's Ctrl-C: the supervisor decides.
            start_new_session=True,
            env={**command.environment, command.name_variable: name},
        )

    async def _watch(self, process: asyncio.subprocess.Process) -> bool:
        """Wait for the worker's end; True if it ended by itself, False if it was asked to."""
        ending = asyncio.ensure_future(process.wait())
        try:
            if await _first_of(self.stop, ending):
                return not self.stop.is_set()
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            if not await _first_of(self.hurry, ending, seconds=self.stop_seconds):
                self.say(f"worker (pid {process.pid}) did not stop, killing it")
            return False
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
            await ending

    async def _rescue(self, name: str) -> None:
        try:
            async with asyncio.timeout(_RESCUE_SECONDS):
                await self.on_death(name)
        except Exception:
            # The other workers find out by themselves, some seconds later.
            _log.warning("the jobs of %s could not be requeued at once", name, exc_info=True)


async def stdin_closed() -> None:
    """In a worker: wait until the supervisor is gone.

    The pipe is the process's standard input; nothing is ever written to it.
    """
    loop = asyncio.get_running_loop()
    closed = asyncio.Event()

    def read() -> None:
        if not os.read(sys.stdin.fileno(), 1024):
            loop.remove_reader(sys.stdin.fileno())
            closed.set()

    loop.add_reader(sys.stdin.fileno(), read)
    await closed.wait()


async def _first_of(
    event: asyncio.Event, other: asyncio.Future[int] | None = None, *, seconds: float | None = None
) -> bool:
    """Wait for the event, the other future, or the time to be over. Returns whether the other future is done."""
    waiting = asyncio.ensure_future(event.wait())
    try:
        awaited: list[asyncio.Future[Any]] = [waiting] if other is None else [waiting, other]
        await asyncio.wait(awaited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    return other is not None and other.done()


def _how_it_ended(return_code: int | None) -> str:
    if return_code is not None and return_code < 0:
        try:
            return f"was killed by {signal.Signals(-return_code).name}"
        except ValueError:
            return f"was killed by signal {-return_code}"
    return f"ended with exit code {return_code}"
