"""The first page, of real jobs and imports."""

import html
import re
from collections.abc import AsyncIterator

import pytest

from bulkport.dashboard.access.viewers import Role
from bulkport.dashboard.core.page import PageRequest, Query
from bulkport.dashboard.pages.overview import OverviewReader, overview_page
from bulkport.jobs import JobState
from command_site import CommandSite, open_command_site, until
from import_steps import execute, settled
from jobs_dashboard_site import open_jobs_site

PLATFORMS = [{"platformName": f"Platform {number}"} for number in range(60)]
HERE = PageRequest("", {}, Query(), Role.OPERATOR)


@pytest.fixture
async def site(database_url: str) -> AsyncIterator[CommandSite]:
    """An open Command API whose imports are cut into chunks of a few rows."""
    async with open_command_site(database_url, chunk_bytes=200) as site:
        yield site


def words(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


async def test_the_empty_overview_says_what_to_do(site: CommandSite) -> None:
    for period in ("", "?period=7d", "?period=nonsense"):
        text = words(await site.page(period))
        assert "Enqueued 0 queue is empty" in text
        assert "No failed jobs" in text
        assert "No jobs running" in text
        assert "No active imports" in text
        assert "Servers 0" in text


async def test_the_overview_shows_active_imports_and_their_workers(site: CommandSite) -> None:
    import_id = await site.send(PLATFORMS)
    page = await site.page("")
    assert f'id="import-{import_id}"' in page
    assert "do/imports/cancel" in page
    async with site.worker():
        async with site.held():

            async def is_running() -> bool:
                text = words(await site.page(""))
                runs = re.search(r"bulkport\.process_(large_)?import", text) is not None and "Running 0" not in text
                return "Servers 1 all online" in text and runs

            await until(is_running, "the import's job on the overview")
        await settled(site.api, import_id)

        async def is_done() -> bool:
            page = await site.page("")
            return f'id="import-{import_id}"' not in page and "No jobs running" in page

        await until(is_done, "an overview without the import")


async def test_finished_jobs_appear_in_metrics_and_charts(database_url: str) -> None:
    async with open_jobs_site(database_url) as (site, _pool):
        read = OverviewReader(site.jobs).read
        good = await site.jobs.enqueue(site.send_report, "ada@example.org")
        bad = await site.jobs.enqueue(site.strict, "no such month")
        async with site.worker():
            await site.reaches(good, JobState.SUCCEEDED)
            await site.reaches(bad, JobState.FAILED)

            async def are_in_the_graph() -> bool:
                overview = await read(HERE)
                assert overview.throughput is not None
                return [sum(value or 0 for value in curve.series.values) for curve in overview.throughput.curves] == [
                    1,
                    1,
                ]

            await until(are_in_the_graph, "both jobs in the graph of seconds")
        overview = await OverviewReader(site.jobs).read(HERE)
        assert overview.imports is None
        assert overview.failures is not None
        (group,) = overview.failures.groups
        assert (group.last_job, group.task, group.jobs) == (str(bad), "strict", 1)
        assert (group.error_type, group.message) == ("ValueError", "no such month")
        tiles = {tile.label: tile for tile in overview.tiles}
        assert tiles["Succeeded"].value == "1"
        assert tiles["Failed"].value == "1"
        assert tiles["Failed"].is_bad
        assert tiles["Failed"].note == "1 in the last hour"
        assert overview.activity is not None
        for chart in (overview.activity.succeeded, overview.activity.failed):
            assert [sum(value or 0 for value in one.values) for one in chart.series] == [1]
        assert overview.latency is not None
        assert any(value is not None for value in overview.latency.curves[0].series.values)
        assert overview_page(read).path == ""


async def test_a_task_that_no_worker_knows_needs_attention(site: CommandSite) -> None:
    async with site.worker():
        await execute(
            site.url,
            "SELECT bulkport.enqueue_now('left_behind', queue, 0, '{}') FROM unnest('{imports}'::text[]) AS queue",
        )

        async def is_told() -> bool:
            return "No worker of queue imports knows the task left_behind" in words(await site.page(""))

        await until(is_told, "the unknown task on the overview")
        assert "no worker knows its task" in words(await site.page("jobs?state=enqueued"))
