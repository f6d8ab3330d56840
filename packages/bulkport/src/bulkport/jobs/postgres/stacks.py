"""Stacks and profiles of running jobs that operators ask for, taken by the heartbeat's thread of the server."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any, Final, LiteralString

import psycopg

from bulkport.jobs.running_code import Profile, Run, stack_of
from bulkport.sanitize import storable_text

MOST_PROFILE_SECONDS: Final = 60.0
_MOST_STACK_LENGTH: Final = 50_000
_MOST_PROFILE_LENGTH: Final = 500_000
_MOST_PROFILES: Final = 2
"""At one time, in one server: each takes some of its processor."""

_ASKED: Final[LiteralString] = """
SELECT job_id, seconds FROM bulkport.job_stacks WHERE worker_id = %(worker_id)s AND taken_at IS NULL
"""

_TAKEN: Final[LiteralString] = """
UPDATE bulkport.job_stacks SET taken_at = clock_timestamp(), stack = %(stack)s, profile = %(profile)s
WHERE job_id = %(job_id)s AND worker_id = %(worker_id)s AND taken_at IS NULL
"""

# An earlier answer makes room for the new one, and those of a day ago go on the way.
ASK_STACK: Final[LiteralString] = """
WITH old AS (
    DELETE FROM bulkport.job_stacks WHERE asked_at < clock_timestamp() - interval '1 day' AND job_id <> %(job_id)s
), asked AS (
    INSERT INTO bulkport.job_stacks AS known (job_id, run, worker_id, asked_by, seconds)
    SELECT job_id, runs + 1, worker_id, %(actor)s::text, %(seconds)s::double precision
    FROM bulkport.jobs WHERE job_id = %(job_id)s AND state = 'processing'
    ON CONFLICT (job_id) DO UPDATE SET
        run = EXCLUDED.run, worker_id = EXCLUDED.worker_id, asked_at = clock_timestamp(), asked_by = EXCLUDED.asked_by,
        seconds = EXCLUDED.seconds, taken_at = NULL, stack = NULL, profile = NULL
    RETURNING job_id
)
SELECT job_id, bulkport.notify_workers('stack', job_id::text)::text FROM asked
"""


class StackTaker:
    """Answers what operators ask about running jobs. All but its making is done in the heartbeat's thread.

    Parameters
    ----------
    find
        Gives the asyncio task of a job that runs here.
    """

    def __init__(self, find: Callable[[int], Run | None]) -> None:
        self._find = find
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._profiles: dict[int, Profile] = {}
        self._done: dict[int, Profile] = {}

    @property
    def has_news(self) -> bool:
        """Whether a profile is complete, and to be stored."""
        return bool(self._done)

    def answer(self, connection: psycopg.Connection, worker_id: int) -> None:
        """Accept and store the requested change."""
        for job_id, seconds in connection.execute(_ASKED, {"worker_id": worker_id}).fetchall():
            run = self._find(job_id)
            done = self._done.pop(job_id, None)
            if done is not None:
                self._profiles.pop(job_id, None)
                self._store(connection, worker_id, job_id, done.last_stack, done.folded)
            elif run is None:
                self._store(connection, worker_id, job_id, "", "")
            elif not seconds:
                self._store(connection, worker_id, job_id, stack_of(run, self._loop, self._loop_thread), "")
            elif job_id not in self._profiles and len(self._profiles) < _MOST_PROFILES:
                self._profiles[job_id] = Profile(
                    run,
                    self._loop,
                    self._loop_thread,
                    min(seconds, MOST_PROFILE_SECONDS),
                    lambda profile, job_id=job_id: self._done.update({job_id: profile}),  # type: ignore[misc]
                )
        for job_id in [job_id for job_id in self._done if job_id in self._profiles]:
            # Nobody asks for it any more.
            del self._done[job_id], self._profiles[job_id]

    def _store(self, connection: psycopg.Connection, worker_id: int, job_id: int, stack: str, profile: str) -> None:
        values: dict[str, Any] = {
            "job_id": job_id,
            "worker_id": worker_id,
            "stack": storable_text(stack[-_MOST_STACK_LENGTH:]),
            "profile": storable_text(profile[:_MOST_PROFILE_LENGTH]) or None,
        }
        connection.execute(_TAKEN, values)
