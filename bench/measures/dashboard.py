"""The dashboard over a long history: each page, the first visit, and the cost of open dashboards for the API."""

import gzip
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urljoin, urlsplit, urlunsplit

import psycopg

from bench.connection import Connection, Server, UnexpectedResponseError
from bench.dataset import PROJECT
from bench.job_history import add_history
from bench.measures.run import Run
from bench.product import ProductInstallation
from bench.samples import median_ratio, percentile, spread

DASHBOARD_ROWS: Final = ("dashboard-page", "dashboard-visit", "dashboard-open")
"""The rows of the table that it fills."""
_DATABASE: Final = "bench_dashboard"
_ROOT: Final = "/hangfire/"
_OPEN_DASHBOARDS: Final = 10
_SETTLING_SECONDS: Final = 2.0
_WARM_UP: Final = 5
_API_REQUEST: Final = "/api/platforms/1"
_PAGES: Final = {
    "overview": "",
    "overview by task, 7 days": "?by=task&period=7d",
    "overview by server, 30 days": "?by=server&period=30d",
    "jobs": "jobs",
    "succeeded": "jobs?state=succeeded",
    "failed": "jobs?state=failed",
    "processing": "jobs?state=processing",
    "failed of a task today": "jobs?state=failed&task=task-0&within=day",
    "of a user": "jobs?user=user-7",
    "of a queue": "jobs?queue=queue-3",
    "of a tag": "jobs?tag=tenant-7",
    "of a tag and a task": "jobs?tag=tenant-7&task=task-1",
    "an argument of one job": "jobs?text=%22recipient%22%3A%20%22user{middle}%40example.org%22",
    "an argument of many jobs": "jobs?text=%22report%22%3A%20700",
    "enqueued": "jobs?state=enqueued",
    "scheduled": "jobs?state=scheduled",
    "failures": "failures",
    "batches": "batches",
    "text of one job": "jobs?text=user{middle}%40example",
    "text of many failed": "jobs?state=failed&text=mail-3",
    "text of none": "jobs?text=nothing%20of%20the%20kind",
    "by end": "jobs?sort=finished",
    "longest succeeded": "jobs?state=succeeded&sort=duration",
    "longest of a task": "jobs?task=task-7&sort=duration",
    "200 a page": "jobs?size=200",
    "a job": "jobs/{middle}",
    "a failed job": "jobs/{failed}",
    "retries": "retries",
    "recurring": "recurring",
    "servers": "servers",
    "queues": "queues",
    "tasks": "tasks",
    "a task": "tasks/task-7",
    "imports": "imports",
    "imports of a tag": "imports?tag=nightly",
    "jobs as JSON": "api/v1/jobs?state=failed",
    "what needs attention, as JSON": "api/v1/attention",
    "metrics": "api/v1/metrics",
    "an import": "imports/1",
    "audit": "audit",
}


def dashboard(run: Run) -> None:
    """Pages and API requests of a server whose database holds a history of jobs."""
    url = urlunsplit(urlsplit(run.database.url)._replace(path=f"/{_DATABASE}"))
    with psycopg.connect(run.database.url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {_DATABASE} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {_DATABASE}")
    installation = ProductInstallation(url, run.folder / "dashboard.log", environment="development")
    installation.migrate()
    jobs = run.scale.finished_jobs
    run.say(f"{jobs:,} finished jobs are made up for the dashboard")
    add_history(url, jobs, is_busy=True)
    with installation.serve() as product:
        body = run.dataset.platforms_ndjson(run.scale.django_rows)
        upload = run.upload(product, "platforms", body)
        try:
            upload.finish().check(body.records, body.good)
        finally:
            upload.stop()
        run.database.settle()
        _measure_pages(run, product.server)
        _measure_first_visit(run, product.server)
        _measure_open_dashboards(run, product.server)


def _measure_pages(run: Run, server: Server) -> None:
    jobs = run.scale.finished_jobs
    run.say(f"each of {len(_PAGES)} pages of the dashboard, {run.scale.page_reads} times")
    times = {}
    with Connection(server) as connection:
        for name, path in _PAGES.items():
            request = _request(connection, path.format(middle=jobs // 2 + 1, failed=jobs // 200 * 100))
            reads = [_read(connection, request) for _ in range(_WARM_UP + run.scale.page_reads)]
            times[name] = [seconds * 1000 for _, seconds in reads[_WARM_UP:]]
    slowest = max(times, key=lambda name: percentile(times[name], 95))
    run.results.details["dashboard pages, ms"] = {
        name: {"p50": round(percentile(of_page, 50), 1), "p95": round(percentile(of_page, 95), 1)}
        for name, of_page in times.items()
    }
    everything = [time for of_page in times.values() for time in of_page]
    run.results.put(
        "dashboard-page",
        percentile(times[slowest], 95),
        f"{slowest}; of all {len(_PAGES)} pages p50 {percentile(everything, 50):.1f} ms",
    )


def _measure_first_visit(run: Run, server: Server) -> None:
    """Everything that a browser fetches for the overview, compressed, without the heads of the answers."""
    with Connection(server) as connection:
        page, _ = _read(connection, _request(connection, ""))
        links = re.findall(r'(?:href|src)="([^"#]+static/[^"#]+)', gzip.decompress(page).decode())
        sizes = {"page": len(page)}
        for link in dict.fromkeys(links):
            address = urljoin(_ROOT, link)
            sizes[address.rsplit("/", 1)[1]] = len(_read(connection, _request(connection, address))[0])
    run.results.details["dashboard first visit, bytes"] = dict(sizes)
    run.results.put("dashboard-visit", sum(sizes.values()) / 1000, f"{len(sizes)} answers")


def _measure_open_dashboards(run: Run, server: Server) -> None:
    count = run.scale.watched_requests
    run.say(f"{count} API requests with {_OPEN_DASHBOARDS} dashboards open, and without, in turn")
    alone, beside = [], []
    with Connection(server) as connection:
        request = connection.prepare("GET", _API_REQUEST)
        _answer_times(connection, request, count)
        for _ in range(run.scale.pairs):
            alone.append(_answer_times(connection, request, count))
            with _open_dashboards(server, _OPEN_DASHBOARDS):
                beside.append(_answer_times(connection, request, count))
    run.results.details["API requests, ms"] = {
        "alone": spread([time for times in alone for time in times]),
        "beside ten dashboards": spread([time for times in beside for time in times]),
    }
    ratio = median_ratio([percentile(times, 50) for times in beside], [percentile(times, 50) for times in alone])
    at_99 = median_ratio([percentile(times, 99) for times in beside], [percentile(times, 99) for times in alone])
    run.results.put("dashboard-open", ratio, f"p99 {at_99:.2f} of that without")


@contextmanager
def _open_dashboards(server: Server, count: int) -> Iterator[None]:
    """Watch the overview and other pages as so many browsers do, in another process."""
    command = [sys.executable, "-m", "bench.open_dashboards", server.host, str(server.port), str(count)]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE) as watching:
        try:
            assert watching.stdout is not None
            if watching.stdout.readline() != b"open\n":
                raise UnexpectedResponseError("no live updates")
            time.sleep(_SETTLING_SECONDS)
            yield
        finally:
            watching.terminate()


def _answer_times(connection: Connection, request: bytes, count: int) -> list[float]:
    times = []
    for _ in range(count):
        response = connection.exchange(request)
        response.json(200)
        times.append(response.seconds * 1000)
    return times


def _request(connection: Connection, path: str) -> bytes:
    """A GET as a browser sends it; paths are relative to the dashboard's root."""
    return connection.prepare("GET", urljoin(_ROOT, path)).replace(
        b"\r\n", b"\r\nAccept: text/html\r\nAccept-Encoding: gzip\r\n", 1
    )


def _read(connection: Connection, request: bytes) -> tuple[bytes, float]:
    response = connection.exchange(request)
    if response.status != 200:
        raise UnexpectedResponseError(f"{response.status} for {request.split(b' ', 2)[1]!r}")
    return response.body, response.seconds
