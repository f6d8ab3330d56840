"""An application with real background jobs, workers for them, and the dashboard's pages about jobs."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from fastapi import FastAPI

from background_jobs import BackgroundJobs
from bulkport.dashboard import Access, AuditLog, Dashboard, Masking, OpenAccess, Section
from bulkport.dashboard.core.sse.hub import Hub
from bulkport.dashboard.pages.api import api_downloads
from bulkport.dashboard.pages.api_commands import api_commands
from bulkport.dashboard.pages.audit import audit_component
from bulkport.dashboard.pages.failures import failures_component
from bulkport.dashboard.pages.job_counts import job_counts
from bulkport.dashboard.pages.job_format import AS_THEY_ARE, JobFormat
from bulkport.dashboard.pages.jobs import JOB_SEARCH, jobs_component
from bulkport.dashboard.pages.muted_failures import MutedFailures
from bulkport.dashboard.pages.overview import OverviewReader, overview_page
from bulkport.dashboard.pages.queues import queues_component
from bulkport.dashboard.pages.recurring import recurring_component
from bulkport.dashboard.pages.retries import retries_component
from bulkport.dashboard.pages.servers import servers_component
from bulkport.dashboard.pages.tasks import tasks_component
from bulkport.identifiers import BackgroundJobId
from bulkport.jobs import JobContext, JobState, RetryPolicy
from bulkport.pools import AsyncPool, open_pool

GATES = "CREATE TABLE gates (name text PRIMARY KEY)"
"""What jobs of `wait` wait for."""


class JobsSite:
    """One database's jobs, and the tasks they are of."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.jobs = BackgroundJobs()
        jobs = self.jobs

        @jobs.task(name="send_report", queue="mail")
        async def send_report(context: JobContext, recipient: str, month: str = "July") -> Mapping[str, Any]:
            context.log(f"sent to {recipient}")
            return {"sent": 1, "token": "a-secret"}

        @jobs.task(name="strict", retry=RetryPolicy(max_attempts=1))
        async def strict(reason: str, password: str = "hunter2") -> None:
            raise ValueError(reason)

        @jobs.task(name="flaky", retry=RetryPolicy(max_attempts=3, base_seconds=3600, jitter=0))
        async def flaky(reason: str) -> None:
            raise ConnectionError(reason)

        @jobs.task(name="wait")
        async def wait(context: JobContext, gate: str) -> str:
            context.progress(3, 10, "reading pages")
            context.log("begun")
            while not await self._is_open(gate):
                context.check()
                await asyncio.sleep(0.02)
            context.progress(10, 10, "all read")
            return "through"

        self.send_report = send_report
        self.strict = strict
        self.flaky = flaky
        self.wait = wait

    async def open_gate(self, gate: str) -> None:
        """Let the jobs that wait for it go on."""
        async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as connection:
            await connection.execute("INSERT INTO gates VALUES (%s)", (gate,))

    async def _is_open(self, gate: str) -> bool:
        async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as connection:
            return (await connection.execute("SELECT FROM gates WHERE name = %s", (gate,))).rowcount > 0

    async def reaches(self, job_id: BackgroundJobId, state: JobState) -> None:
        """Wait until the job is in this state."""
        seen = None
        try:
            async with asyncio.timeout(60):
                while seen is not state:
                    await asyncio.sleep(0.02)
                    details = await self.jobs.details(job_id)
                    seen = None if details is None else details.job.state
        except TimeoutError:
            raise AssertionError(f"job {job_id} is {seen} and not {state}") from None

    @asynccontextmanager
    async def worker(self, **options: Any) -> AsyncIterator[None]:
        """A worker of the tasks, in this process."""
        stop = asyncio.Event()
        running = asyncio.create_task(self.jobs.run_worker(self.url, stop, poll_seconds=0.1, **options))
        try:
            yield
        finally:
            stop.set()
            await running

    def build(
        self,
        pool: AsyncPool,
        access: Access | None = None,
        *,
        hub: Hub | None = None,
        step_seconds: float = 2.0,
        job_format: JobFormat = AS_THEY_ARE,
        links: Mapping[str, str] | None = None,
    ) -> FastAPI:
        """The application with the dashboard at /hangfire."""
        masking = Masking()
        audit = AuditLog(lambda: pool)
        parts = [
            jobs_component(self.jobs, masking, lambda: pool, step_seconds=step_seconds, job_format=job_format),
            failures_component(self.jobs, MutedFailures(lambda: pool)),
            retries_component(self.jobs, masking),
            queues_component(self.jobs),
            servers_component(self.jobs),
            tasks_component(self.jobs),
            recurring_component(self.jobs, masking),
            audit_component(audit),
        ]
        dashboard = Dashboard(
            [overview_page(OverviewReader(self.jobs).read), *(page for part in parts for page in part.pages)],
            [Section("overview", "Overview", ""), *(part.section for part in parts)],
            access=access or OpenAccess(),
            audit=audit,
            actions=[action for part in parts for action in part.actions],
            downloads=[
                *(download for part in parts for download in part.downloads),
                *api_downloads(self.jobs, masking, OverviewReader(self.jobs).attention, api_commands()),
            ],
            commands=api_commands(),
            counts=job_counts(self.jobs),
            search=JOB_SEARCH,
            title="Shop",
            hub=hub,
            links=links,
        )
        app = FastAPI(redirect_slashes=False)
        dashboard.mount(app, "/hangfire")
        app.state.dashboard = dashboard
        return app


@asynccontextmanager
async def open_jobs_site(url: str) -> AsyncIterator[tuple[JobsSite, AsyncPool]]:
    """The site of a fresh database, connected."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(GATES)
    site = JobsSite(url)
    async with open_pool(url, name="dashboard", most=5) as pool, site.jobs.connect(pool=pool):
        yield site, pool
