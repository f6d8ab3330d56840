"""A worker's heartbeat: a thread of its own, so that a task that computes on the event loop does not delay it. The
thread also sees tasks that keep the loop to themselves: while one computes, no other job of the worker moves.
"""

import asyncio
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Final

import psycopg

from bulkport.database import cursor_classes
from bulkport.jobs.port import WorkerOptions
from bulkport.jobs.postgres import queries
from bulkport.jobs.postgres.connection import reconnecting
from bulkport.jobs.postgres.stacks import StackTaker
from bulkport.logs import get_logger
from bulkport.pools import patient_conninfo, write_iso_dates_sync

_TICKS_IN_LIMIT: Final = 4

RunningJobs = Callable[[], dict["asyncio.Task[object]", tuple[int, str]]]
"""The id and the task's name of each job that runs, by the asyncio task it runs in."""


class LoopWatch:
    """Watches the event loop of a worker from another thread.

    Parameters
    ----------
    blocked_seconds
        How long the loop may stand still before it is reported, once a job.
    running_jobs
        Says what may be the cause.
    """

    def __init__(self, blocked_seconds: float, running_jobs: RunningJobs) -> None:
        self._blocked_seconds = blocked_seconds
        self._running_jobs = running_jobs
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._ticked = time.monotonic()
        self._longest_lag = 0.0
        self._reported: set[int] = set()

    async def tick(self) -> None:
        """Run on the loop, until cancelled: it shows that the loop turns."""
        while True:
            self._ticked = time.monotonic()
            await asyncio.sleep(self.look_seconds)
            late = time.monotonic() - self._ticked - self.look_seconds
            self._longest_lag = max(self._longest_lag, late)

    def take_longest_lag(self) -> float:
        """The longest time, in seconds, that the loop was late since the last call. Called in another thread."""
        blocked = time.monotonic() - self._ticked - self.look_seconds
        longest, self._longest_lag = max(self._longest_lag, blocked, 0.0), 0.0
        return longest

    @property
    def look_seconds(self) -> float:
        """How often to look."""
        return self._blocked_seconds / _TICKS_IN_LIMIT

    def look(self) -> None:
        """Report the job that blocks the loop, if one does. Called in another thread."""
        blocked = time.monotonic() - self._ticked
        if blocked < self._blocked_seconds:
            return
        frame = sys._current_frames().get(self._thread)  # noqa: SLF001 - the documented way
        stack = "" if frame is None else "".join(traceback.format_stack(frame))
        current = asyncio.current_task(self._loop)
        try:
            running = self._running_jobs()
        except RuntimeError:
            # The loop has gone on meanwhile and changed it.
            return
        suspects = [running[current]] if current in running else list(running.values())
        if time.monotonic() - self._ticked < blocked:
            return
        fresh = [(job_id, task) for job_id, task in suspects if job_id not in self._reported]
        if not fresh:
            return
        self._reported.update(job_id for job_id, _ in fresh)
        _log.error(
            "event loop blocked",
            job_id=fresh[0][0] if len(suspects) == 1 else [job_id for job_id, _ in fresh],
            task=fresh[0][1] if len(suspects) == 1 else sorted({task for _, task in fresh}),
            seconds=round(blocked, 1),
            stack=stack,
        )


_log = get_logger(__name__)

_STATUS: Final = Path("/proc/self/status")


class Heartbeat:
    """Renews a server's lease every `heartbeat_seconds` until stopped, or until the process ends.

    It continues while a worker drains, and beyond if a task cannot be cancelled: its job is alive as long as the
    process is.

    Parameters
    ----------
    options
        The server's options. The heartbeat has its own connection: a busy one would delay it.
    worker_id
        Whose lease it is.
    watch
        Looked through between the beats: this thread also runs while the event loop does not.
    ended
        Says how many of the server's jobs succeeded and failed so far.
    stacks
        Answers what operators ask about running jobs.
    """

    def __init__(
        self,
        options: WorkerOptions,
        worker_id: int,
        watch: LoopWatch,
        ended: Callable[[], tuple[int, int]],
        stacks: StackTaker,
    ) -> None:
        self._conninfo = patient_conninfo(options.database_url)
        self._cursor_factory = cursor_classes(options.schema)[0]
        self._worker_id = worker_id
        self._server_name = options.server_name
        self._ended = ended
        self._stacks = stacks
        self._is_hurried = False
        self._is_stack_asked = False
        self._counted = (0, 0)
        self._interval = options.heartbeat_seconds
        self._watch = watch
        self._stopped = threading.Event()
        self._evicted = threading.Event()
        self._last_beat = time.monotonic()
        self._wanted: str | None = None
        self._thread = threading.Thread(target=self._run, name=f"heartbeat of worker {worker_id}", daemon=True)

    @property
    def evicted(self) -> bool:
        """Whether the lease is gone: another server took this one for dead."""
        return self._evicted.is_set()

    @property
    def wanted(self) -> str | None:
        """What an operator asks the server to do, as of the last beat: 'quiet', 'stop' or None."""
        return self._wanted

    @property
    def age_seconds(self) -> float:
        """Seconds since the last beat that PostgreSQL confirmed was sent."""
        return time.monotonic() - self._last_beat

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def hurry(self) -> None:
        """Beat as soon as the thread looks again: an operator asks for something."""
        self._is_hurried = True

    def stop(self) -> None:
        """Stop beating; returns at once."""
        self._stopped.set()

    def _run(self) -> None:
        backoff = reconnecting()
        while not self._stopped.is_set():
            try:
                with psycopg.connect(
                    self._conninfo, autocommit=True, cursor_factory=self._cursor_factory, prepare_threshold=None
                ) as connection:
                    write_iso_dates_sync(connection)
                    while self._beat(connection):
                        backoff.reset()
                        self._tell_ended(connection)
                        if self._is_stack_asked:
                            self._stacks.answer(connection, self._worker_id)
                        if self._wait_for_next_beat():
                            self._tell_ended(connection)
                            return
                    self._evicted.set()
                    return
            except psycopg.Error as error:
                delay = backoff.next_delay()
                _log.info("heartbeat missed", worker_id=self._worker_id, error=str(error).strip())
                self._stopped.wait(delay)

    def _wait_for_next_beat(self) -> bool:
        """Whether the heartbeat was stopped."""
        while (left := self._last_beat + self._interval - time.monotonic()) > 0:
            if self._stopped.wait(min(left, self._watch.look_seconds)):
                return True
            self._watch.look()
            if self._is_hurried or self._stacks.has_news:
                self._is_hurried = False
                break
        return self._stopped.is_set()

    def _beat(self, connection: psycopg.Connection) -> bool:
        sent = time.monotonic()
        state = {
            "memory": _resident_bytes(),
            "loop_lag": self._watch.take_longest_lag(),
            "worker_id": self._worker_id,
        }
        row = connection.execute(queries.HEARTBEAT, state).fetchone()
        if row is None:
            return False
        self._last_beat = sent
        self._wanted, self._is_stack_asked = row
        return True

    def _tell_ended(self, connection: psycopg.Connection) -> None:
        """Add what ended since the last time to the server's time series."""
        ended = self._ended()
        succeeded, failed = ended[0] - self._counted[0], ended[1] - self._counted[1]
        if succeeded or failed:
            counts = {"server": self._server_name, "succeeded": succeeded, "failed": failed}
            connection.execute(queries.ADD_ENDED, counts)
            self._counted = ended


def _resident_bytes() -> int | None:
    """Memory that this process has resident; None if the platform has no such file (see proc_pid_status(5))."""
    try:
        lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), None)
