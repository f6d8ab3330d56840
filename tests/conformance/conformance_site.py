"""A database with the engine under test, as a test sees it: jobs to enqueue, servers to run, facts to wait for."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import conformance_tasks
import conformance_worker
import psycopg
from conformance_diary import Diary
from conformance_engine import EngineUnderTest

from background_jobs import BackgroundJobs
from bulkport.identifiers import BackgroundJobId
from bulkport.jobs import BackgroundJob, JobState
from bulkport.jobs.port.details import JobDetails
from forked_processes import ForkedProcess

WAIT_SECONDS = 60.0
HASTY = {"heartbeat_seconds": 0.25, "stalled_seconds": 1.25, "poll_seconds": 0.2}
"""Settings of servers whose death is detected quickly."""


class ServerProcess:
    """A worker process."""

    def __init__(self, name: str, process: "ForkedProcess | subprocess.Popen[bytes]", log: Path) -> None:
        self.name = name
        self._process = process
        self._log = log

    def send(self, number: signal.Signals) -> None:
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """SIGKILL it, and see it gone."""
        self._process.kill()
        self._process.wait()

    async def ends(self) -> int:
        """Wait for its end; gives its exit code."""

        async def has_ended() -> bool:
            return self._process.poll() is not None

        await eventually(has_ended, f"the end of {self.name}")
        return self._process.wait()

    def said(self, level: str, job_id: str | None = None) -> list[dict[str, Any]]:
        """What it logged of this level, about this job."""
        lines = [json.loads(line) for line in self._log.read_text(errors="replace").splitlines() if line[:1] == "{"]
        return [line for line in lines if line["level"] == level and job_id in {None, str(line.get("job_id"))}]


class Home:
    """A database and a folder, shared by the tests of a module."""

    def __init__(self, url: str, folder: Path, engine: EngineUnderTest) -> None:
        self.url = url
        self.folder = folder
        self.engine = engine

    @contextmanager
    def server(self, name: str, **options: Any) -> Iterator[ServerProcess]:
        """A worker process with options of `run_worker`; killed at the end if it still runs."""
        log = self.folder / f"{name}.log"
        arguments = [conformance_worker.__file__, self.url, str(self.folder), name, json.dumps(options)]
        process: ForkedProcess | subprocess.Popen[bytes]
        if "clock_seconds" in options:  # the clock is put wrong before anything is imported
            with log.open("ab") as output:
                process = subprocess.Popen([sys.executable, *arguments], stdout=output, stderr=output)
        else:
            process = ForkedProcess(arguments, log=log)
        server = ServerProcess(name, process, log)
        try:
            yield server
        finally:
            server.kill()


class ConformanceSite:
    """A test's view of it."""

    def __init__(self, home: Home, jobs: BackgroundJobs, connection: psycopg.AsyncConnection[Any]) -> None:
        self.url = home.url
        self.server = home.server
        self.engine = home.engine
        self.jobs = jobs
        self.connection = connection
        self.diary = Diary(home.folder)
        self.tasks = conformance_tasks.declare(jobs, self.diary)

    async def job(self, job_id: BackgroundJobId) -> BackgroundJob:
        job = await self.jobs.get(job_id)
        assert job is not None
        return job

    async def details(self, job_id: BackgroundJobId) -> JobDetails:
        details = await self.jobs.details(job_id)
        assert details is not None
        return details

    async def ended(self, job_id: BackgroundJobId) -> BackgroundJob:
        """The job, once it has ended."""

        async def has() -> bool:
            return (await self.job(job_id)).state.is_final

        await eventually(has, f"end of job {job_id}")
        return await self.job(job_id)

    async def all_ended(self, job_ids: list[BackgroundJobId]) -> list[BackgroundJob]:
        return [await self.ended(job_id) for job_id in job_ids]

    async def succeeds(self, job_id: BackgroundJobId) -> BackgroundJob:
        job = await self.ended(job_id)
        assert job.state is JobState.SUCCEEDED, job
        return job

    async def reaches(self, job_id: BackgroundJobId, state: JobState) -> BackgroundJob:
        async def has() -> bool:
            return (await self.job(job_id)).state is state

        await eventually(has, f"job {job_id} {state}")
        return await self.job(job_id)

    async def happens(self, event: str, *job_ids: BackgroundJobId, times: int = 1) -> None:
        """Wait until the diary has it."""

        async def has() -> bool:
            return len(self.diary.notes(*job_ids, event=event)) >= times

        await eventually(has, f"{times} times {event} of {job_ids}")

    async def serving(self, *names: str) -> None:
        """Wait until servers are listed."""

        async def are() -> bool:
            return set(names) <= {server.name for server in await self.jobs.servers() if not server.is_silent}

        await eventually(are, f"servers {names}")


async def eventually(check: Callable[[], Awaitable[bool]], what: str, seconds: float = WAIT_SECONDS) -> None:
    """Wait until `check` passes."""
    try:
        async with asyncio.timeout(seconds):
            while not await check():
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"did not happen in {seconds} s: {what}") from None
