"""The pages of servers and queues, of real workers."""

from collections.abc import AsyncIterator

import pytest
from parts_site import PartsSite, open_parts, words

from bulkport.dashboard import Role
from bulkport.dashboard.pages.queues import queues_component
from bulkport.dashboard.pages.servers import servers_component
from bulkport.jobs import JobState
from command_site import until
from dashboard_site import FixedAccess


@pytest.fixture
async def site(database_url: str) -> AsyncIterator[PartsSite]:
    async with open_parts(
        database_url, lambda site, _: [servers_component(site.jobs), queues_component(site.jobs)]
    ) as site:
        yield site


async def test_empty_pages_say_what_to_do(site: PartsSite) -> None:
    assert "Jobs wait until a worker runs" in await site.page("servers")
    assert "A queue appears here with its first job" in await site.page("queues")


async def test_a_server_shows_what_it_runs(site: PartsSite) -> None:
    job_id = await site.jobs.enqueue(site.site.wait, "gate")
    async with site.site.worker(name="worker-a", concurrency=4):
        await site.site.reaches(job_id, JobState.PROCESSING)
        row = await site.row("servers", "server-worker-a")
        assert "Online" in row
        assert "1 of 4" in row
        assert "wait " in row
        assert f'href="./jobs/{job_id}"' in await site.page("servers")
        await site.site.open_gate("gate")
        await site.site.reaches(job_id, JobState.SUCCEEDED)
        assert "0 of 4 idle all" in await site.row("servers", "server-worker-a")


async def test_a_queue_can_be_paused_resumed_and_limited(site: PartsSite) -> None:
    first = await site.jobs.enqueue(site.site.send_report, "ada@example.org")
    assert "No workers 1 0 0 0" in await site.row("queues", "queue-mail")
    assert await site.said("queues/pause", "queues", queue="mail") == "Paused mail. Running jobs will finish."
    assert "by ann" in await site.row("queues", "queue-mail")
    async with site.site.worker():

        async def is_served() -> bool:
            return (await site.row("queues", "queue-mail")).endswith("Set limit of mail Resume mail")

        await until(is_served, "a server of the queue")
        assert "Paused" in await site.row("queues", "queue-mail")
        assert await site.said("queues/resume", "queues", queue="mail") == "Resumed mail."
        await site.site.reaches(first, JobState.SUCCEEDED)
        assert "changed" in await site.row("queues", "queue-mail")
        assert "by ann" in await site.row("queues", "queue-mail")
    assert "Pause" in await site.row("queues", "queue-mail")
    limited = await site.said("queues/limit", "queues", queue="mail", **{"limit-mail": "2"})
    assert limited == "Limited mail to 2 concurrent jobs."
    assert 'name="limit-mail" form="act" min="1" max="100000" value="2"' in await site.page("queues")
    assert "by ann" in await site.row("queues", "queue-mail")
    for wrong in ("0", "-1", "two", "1000000"):
        assert "Enter a number from 1" in await site.said(
            "queues/limit", "queues", queue="mail", **{"limit-mail": wrong}
        )
    assert "Removed the limit on mail." in await site.said("queues/limit", "queues", queue="mail", **{"limit-mail": ""})
    assert 'max="100000" value=""' in await site.page("queues")


async def test_a_queue_has_a_page_with_metrics_charts_and_servers(site: PartsSite) -> None:
    failing = await site.jobs.enqueue(site.site.strict, "no such month")
    queue = "default"
    async with site.site.worker(name="worker-a", concurrency=4):
        await site.site.reaches(failing, JobState.FAILED)

        async def is_counted() -> bool:
            return 'data-bar="bad"' in await site.page(f"queues/{queue}?period=15min")

        await until(is_counted, "the failed job in the queue's chart")
        page = await site.page(f"queues/{queue}?period=15min")
    assert "Waiting 0 queue is empty" in words(page)
    assert "worker-a 0 of 4 slots Online" in words(page)
    assert f'queue={queue}"' in page
    assert "Queue nowhere has no jobs and no worker." in await site.page("queues/nowhere", status=404)


async def test_invalid_queue_names_are_rejected(site: PartsSite) -> None:
    assert await site.said("queues/pause", "queues") == "No queue selected."
    assert await site.said("queues/pause", "queues", queue="a\0b") == "No queue selected."
    assert "Not possible" in await site.said("queues/pause", "queues", queue="q" * 1000)


async def test_read_only_users_have_no_buttons(database_url: str) -> None:
    reader = FixedAccess(Role.READ_ONLY)
    async with open_parts(
        database_url, lambda site, _: [servers_component(site.jobs), queues_component(site.jobs)], reader
    ) as site:
        await site.jobs.enqueue(site.site.send_report, "ada@example.org")
        assert "do/queues" not in await site.page("queues")


async def test_a_queue_can_be_paused_with_a_reason(site: PartsSite) -> None:
    await site.jobs.enqueue(site.site.send_report, "ada@example.org")
    question = await site.page("queues")
    assert "data-note" in question
    await site.said("queues/pause", "queues", queue="mail", note="the mail host is down")
    assert "waiting: paused by ann: the mail host is down" in await site.row("queues", "queue-mail")
    await site.said("queues/resume", "queues", queue="mail")
    assert "the mail host" not in await site.page("queues")


async def test_a_server_can_be_quieted_and_stopped(site: PartsSite) -> None:
    async with site.site.worker(name="worker-a", concurrency=4):

        async def is_online() -> bool:
            return "Online" in await site.page("servers")

        await until(is_online, "a server")
        said = await site.said("servers/quiet", "servers", server="worker-a")
        assert said == "Asked worker-a to start no more jobs."
        assert "Quiet" in await site.row("servers", "server-worker-a")
        page = await site.page("servers/worker-a")
        assert "asked by" in page
        assert "Resume" in page
        assert await site.said("servers/resume", "servers", server="worker-a") == "Resumed worker-a."
        assert "Asked worker-a to stop." in await site.said("servers/stop", "servers", server="worker-a")
    assert "not running" in await site.said("servers/quiet", "servers", server="worker-a")
    assert await site.said("servers/quiet", "servers") == "No server selected."
