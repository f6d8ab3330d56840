"""An application with a dashboard whose data a test controls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from jinja2 import FileSystemLoader

from bulkport.dashboard import (
    Access,
    Action,
    ActionRefused,
    ActionRequest,
    Counts,
    Dashboard,
    Done,
    Entry,
    OpenAccess,
    Page,
    PageNotFound,
    PageRequest,
    Role,
    Search,
    Section,
    Viewer,
)
from bulkport.dashboard.core.action import Begun, Outcome
from bulkport.dashboard.core.charts import Series, bars, lines
from bulkport.dashboard.core.page import Query
from bulkport.dashboard.core.sse.hub import Hub
from bulkport.dashboard.core.table import Column, Paging, Sorting
from bulkport.dashboard.pages.activity import ActivityCharts
from bulkport.dashboard.pages.failure_groups import FailureGroup, FailureGroups
from bulkport.dashboard.pages.overview import ListedJob, Overview, Tile, overview_page
from bulkport.fastapi import problems
from bulkport.fastapi.middleware import EdgeMiddleware
from bulkport.imports.admin import OperatedImport


@dataclass
class Job:
    """A row of the site."""

    id: int
    task: str
    state: str
    at: datetime
    note: str = ""
    took: float | None = None
    traceback: str = 'Traceback (most recent call last):\n  File "mail.py", line 3, in send\nValueError: no recipient\n'


@dataclass
class SiteData:
    """What the site shows; a test changes it. `loads` counts how often it was looked at."""

    counts: dict[str, int] = field(default_factory=lambda: {"failed": 0, "enqueued": 3, "jobs": 3})
    jobs: list[Job] = field(default_factory=list)
    overview: Overview = field(default_factory=Overview)
    loads: int = 0
    error: Exception | None = None
    audit: list[tuple[str, str, str, str | None]] = field(default_factory=list)
    forms: list[str] = field(default_factory=list)

    async def read_counts(self) -> Counts:
        if self.error is not None:
            raise self.error
        return Counts(dict(self.counts))

    async def read_overview(self, request: PageRequest) -> Overview:
        self.loads += 1
        return self.overview

    async def load_jobs(self, request: PageRequest) -> Mapping[str, Any]:
        self.loads += 1
        columns = [
            Column("Job"),
            Column("State", sort_key="state"),
            Column("Took", sort_key="took", is_number=True, is_minor=True),
            Column("When", is_number=True),
        ]
        state = request.query.get("state")
        return {
            "jobs": [job for job in self.jobs if state in {"", job.state}],
            "columns": columns,
            "sorting": Sorting.of(request, ["state", "took"], "took"),
            "paging": Paging(Paging.size_of(request), "abc"),
        }

    async def load_job(self, request: PageRequest) -> Mapping[str, Any]:
        for job in self.jobs:
            if job.id == request.params["job_id"]:
                return {"job": job}
        raise PageNotFound(f"There is no job {request.params['job_id']}.")

    async def begin(self, actor: str, action: str, target: str, form: str) -> Begun:
        if form in self.forms:
            return Begun(self.forms.index(form), is_new=False)
        self.forms.append(form)
        self.audit.append((actor, action, target, None))
        return Begun(len(self.audit) - 1, is_new=True)

    async def settle(self, entry_id: int, target: str, outcome: Outcome) -> None:
        self.audit[entry_id] = (*self.audit[entry_id][:2], target, outcome.text)

    async def break_off(self, entry_id: int, why: str) -> None:
        self.audit[entry_id] = (*self.audit[entry_id][:3], why)

    async def outcome(self, entry_id: int) -> Outcome:
        return Outcome(self.audit[entry_id][3])


def sample_data() -> SiteData:
    """Enough of everything to look at."""
    now = datetime.now(UTC)
    positions = [f"-{second} s" for second in range(90, 0, -1)]
    succeeded = Series("succeeded", [640 + 120 * ((index * 7) % 5) for index in range(90)], "ok", is_filled=True)
    failed = Series("failed", [index % 9 for index in range(90)], "bad", is_dashed=True)
    hours = [f"{hour:02}:00" for hour in range(24)]
    long_error = "ConnectTimeout: hooks.example.org:443 did not answer within ten seconds, and not at the second try"
    return SiteData(
        counts={"failed": 17, "enqueued": 1272, "jobs": 1284, "processing": 2, "succeeded": 4118902, "imports": 2},
        jobs=[
            Job(1, "send_webhook", "failed", now - timedelta(seconds=12), long_error, 10.01),
            Job(2, "rebuild_search_index", "processing", now - timedelta(minutes=3), "41 %"),
            Job(3, "reports.monthly.with_a_name_that_goes_on.send_monthly_report", "succeeded", now, "", 0.0014),
            Job(4, "send_report", "retrying", now + timedelta(seconds=38), "ValueError: no recipient", 0.2),
            Job(5, "send_report", "scheduled", now + timedelta(hours=3)),
        ],
        overview=Overview(
            tiles=(
                Tile("Enqueued", "1,272", "oldest: 9m 49s", "jobs", (("state", "enqueued"),)),
                Tile("Running", "2", "of 16 slots", "jobs", (("state", "processing"),)),
                Tile("Scheduled", "214", "next in 38 s", "jobs", (("state", "scheduled"),)),
                Tile("Succeeded", "4,118,902", "641/s", "jobs", (("state", "succeeded"),)),
                Tile("Failed", "17", "3 in the last hour", "jobs", (("state", "failed"),), is_bad=True),
                Tile("Queue latency (median)", "1.3 ms", "p99 4.1 ms"),
            ),
            throughput=lines(positions, [succeeded, failed], x_labels=[(0, "-90 s"), (45, "-45 s"), (89, "now")]),
            activity=ActivityCharts(
                bars(hours, [Series("succeeded", [4000 + 900 * (hour % 7) for hour in range(24)], "ok")]),
                bars(hours, [Series("failed", [40 * (hour % 3) for hour in range(24)], "bad")], height=110),
            ),
            failures=FailureGroups(
                [
                    FailureGroup(
                        task="send_webhook",
                        error_type="ConnectTimeout",
                        message=long_error,
                        jobs=17,
                        first_at=now - timedelta(hours=2),
                        last_at=now - timedelta(seconds=12),
                        last_job="1",
                        trend=[1, 2, 14],
                        query=Query([("state", "failed"), ("task", "send_webhook")]),
                    )
                ],
                17,
                is_sample=False,
            ),
            running=[ListedJob(2, "rebuild_search_index", "41 %", now - timedelta(minutes=3), "worker-a:2211")],
            imports=[
                _import(4812, "platforms", "auth0|alice", 6842113, 27368, now - timedelta(seconds=11)),
                _import(4810, "commands", "auth0|chen", 0, 0, None),
            ],
            imports_in_all=2,
        ),
    )


def _import(  # noqa: PLR0917 # sample data
    import_id: int, resource: str, user_id: str, done: int, failed: int, started_at: datetime | None
) -> OperatedImport:
    values: dict[str, Any] = dict.fromkeys(one.name for one in fields(OperatedImport))
    values |= {
        "id": import_id,
        "user_id": user_id,
        "resource": resource,
        "background_job_id": "1",
        "format": "csv",
        "handling": "lenient",
        "status": "Processing" if started_at else "Pending",
        "total_records": 10_000_000,
        "body_bytes": 1,
        "processed_count": done,
        "success_count": done - failed,
        "failure_count": failed,
        "outcomes": [],
        "created_at": datetime.now(UTC),
        "started_at": started_at,
        "attempts": 1,
        "warnings": [],
        "reading": {},
        "total_chunks": 10,
    }
    return OperatedImport(**values)


def sections() -> Sequence[Section]:
    states = ("enqueued", "scheduled", "processing", "succeeded", "failed", "awaiting", "cancelled")
    return [
        Section("overview", "Overview", ""),
        Section(
            "jobs",
            "Jobs",
            "jobs",
            "jobs",
            entries=(
                Entry("All", "jobs", (("state", ""),)),
                *(
                    Entry(state.capitalize(), "jobs", (("state", state),), state, is_alarming=state == "failed")
                    for state in states
                ),
            ),
        ),
        Section("imports", "Imports", "imports", "imports"),
        Section("retries", "Retries", "retries", "failed", is_alarming=True),
    ]


async def _requeue(request: ActionRequest) -> Done:
    ids = request.form.numbers()
    if not ids:
        raise ActionRefused("No job was chosen.")
    return Done(f"{len(ids)} requeued.", target=f"jobs {ids}")


async def _question(request: ActionRequest) -> str:
    return f"Requeue {len(request.form.numbers())} jobs?"


async def _touch(request: ActionRequest) -> Done:
    return Done("Touched.", target="nothing")


async def _break(request: ActionRequest) -> Done:
    raise RuntimeError("broken")


def build_site(
    data: SiteData,
    access: Access | None = None,
    *,
    path: str = "/hangfire",
    hub: Hub | None = None,
    root_path: str = "",
) -> FastAPI:
    """The application; `app.state.dashboard` is its dashboard."""
    app = FastAPI(redirect_slashes=False)
    problems.install(app)
    app.add_middleware(EdgeMiddleware, private_path="/api")
    dashboard = Dashboard(
        [
            overview_page(data.read_overview),
            Page("jobs", "test_jobs.html", data.load_jobs, section="jobs", every=0.25),
            Page("jobs/{job_id:int}", "test_job.html", data.load_job, section="jobs", every=0.25),
        ],
        sections(),
        access=access or OpenAccess(),
        audit=data,
        actions=[
            Action("jobs/requeue", "Requeue", _requeue, _question),
            Action("jobs/touch", "Touch", _touch),
            Action("jobs/break", "Break", _break),
        ],
        counts=data.read_counts,
        search=Search("jobs", "text", "Search jobs"),
        title="Shop",
        loaders=[FileSystemLoader(Path(__file__).parent / "dashboard_templates")],
        hub=hub,
    )
    dashboard.mount(app, path)
    app.state.dashboard = dashboard
    return app


class FixedAccess(OpenAccess):
    """Everyone is the same viewer, which a test can change."""

    def __init__(self, role: Role = Role.OPERATOR, name: str = "ann", *, actions: frozenset[str] | None = None) -> None:
        self.current: Viewer | None = Viewer(name, role, actions=actions)

    async def viewer(self, request: Any) -> Viewer | None:
        return self.current


def browser_of(
    app: FastAPI, *, base_url: str = "http://localhost", client: str = "127.0.0.1", root_path: str = ""
) -> httpx.AsyncClient:
    """A client that keeps cookies, as a browser."""
    transport = httpx.ASGITransport(app, client=(client, 50000), root_path=root_path)
    return httpx.AsyncClient(transport=transport, base_url=base_url)
