"""The pages about tasks, and the audit, of real jobs and actions."""

import re
from collections.abc import AsyncIterator

import pytest
from parts_site import PartsSite, open_parts, words

from bulkport.dashboard.pages.audit import audit_component
from bulkport.dashboard.pages.queues import queues_component
from bulkport.dashboard.pages.servers import servers_component
from bulkport.dashboard.pages.tasks import tasks_component
from bulkport.jobs import JobState
from command_site import until


@pytest.fixture
async def site(database_url: str) -> AsyncIterator[PartsSite]:
    async with open_parts(
        database_url,
        lambda site, audit: [
            tasks_component(site.jobs),
            servers_component(site.jobs),
            queues_component(site.jobs),
            audit_component(audit),
        ],
    ) as site:
        yield site


async def test_empty_pages_say_what_to_do(site: PartsSite) -> None:
    assert "A task appears here with its first job" in await site.page("tasks")
    assert "No matching tasks" in await site.page("tasks?text=mail")
    assert "Task nobody had no jobs" in await site.page("tasks/nobody", status=404)
    assert "What operators do on these pages is recorded here" in await site.page("audit")


async def test_tasks_are_counted_searched_and_sorted(site: PartsSite) -> None:
    good = [await site.jobs.enqueue(site.site.send_report, "ada@example.org") for _ in range(3)]
    bad = await site.jobs.enqueue(site.site.strict, "no such month")
    async with site.site.worker():
        for job_id in good:
            await site.site.reaches(job_id, JobState.SUCCEEDED)
        await site.site.reaches(bad, JobState.FAILED)
    waiting = await site.jobs.enqueue(site.site.strict, "later")

    async def is_counted() -> bool:
        return re.match("strict 1 0 1 100% .+ ms", await site.row("tasks", "task-strict")) is not None

    await until(is_counted, f"counts with job {waiting} waiting")
    assert (await site.row("tasks", "task-send_report")).startswith("send_report 0 3 0 0%")
    assert "task-strict" not in await site.page("tasks?text=SEND")

    async def order(query: str) -> list[str]:
        return re.findall(r'<tr data-row id="task-(\w+)"', await site.page(f"tasks?{query}"))

    assert await order("") == ["send_report", "strict"]
    assert await order("sort=failed&order=desc") == ["strict", "send_report"]
    assert await order("sort=succeeded&order=desc") == ["send_report", "strict"]
    for window in ("1h", "24h", "7d"):
        page = await site.page(f"tasks/strict?period={window}")
        assert "Failed 1 100% failed" in words(page)
        numbers = re.search(r'id="failed-data">(.*?)</details>', page, re.DOTALL)
        assert numbers is not None
        rows = re.findall(r'<td class="n">(\d+)</td>', numbers[1])
        assert len(rows) == {"1h": 60, "24h": 24, "7d": 56}[window]
        assert sum(map(int, rows)) == 1


async def test_a_paused_task_is_shown_wherever_its_jobs_wait(site: PartsSite) -> None:
    job = await site.jobs.enqueue(site.site.send_report, "ada@example.org")
    text = await site.said("tasks/pause", "tasks", task="send_report", note="the bank is down")
    assert text == "Paused send_report. Running jobs will finish."
    assert "by ann the bank is down" in await site.row("tasks", "task-send_report")
    page = words(await site.page("tasks/send_report"))
    assert "by ann the bank is down" in page
    async with site.site.worker():
        other = await site.jobs.enqueue(site.site.strict, "an error")
        await site.site.reaches(other, JobState.FAILED)
        assert (await site.jobs.details(job)).job.state is JobState.ENQUEUED  # type: ignore[union-attr]
        assert "task send_report paused by ann: the bank is down" in words(await site.page("queues/mail"))
        assert await site.said("tasks/resume", "tasks", task="send_report") == "Resumed send_report."
        await site.site.reaches(job, JobState.SUCCEEDED)
    assert "Paused a task task send_report" in words(await site.page("audit"))


async def test_the_audit_log_shows_who_did_what(site: PartsSite) -> None:
    for number in range(4):
        await site.said("queues/pause", "queues", queue=f"queue-{number}")
    page = await site.page("audit?size=3")
    entries = [words(row) for row in re.findall(r'<tr data-row id="entry-\d+">(.*?)</tr>', page, re.DOTALL)]
    assert [re.search(r"queue-\d", entry)[0] for entry in entries] == ["queue-3", "queue-2", "queue-1"]  # type: ignore[index]
    assert re.search(r"UTC ann Paused a queue queue queue-3 Paused queue-3\. Running jobs will finish\.$", entries[0])
    found = re.search(r'href="\./([^"]+)" rel="next"', page)
    assert found is not None
    assert "queue-0" in await site.page(found[1].replace("&amp;", "&"))


async def test_the_audit_log_is_in_english_whoever_acts(site: PartsSite) -> None:
    site.speak("de")
    assert await site.said("queues/limit", "queues", queue="mail", **{"limit-mail": "1200"}) == (
        "mail auf 1.200 gleichzeitige Jobs begrenzt."
    )
    site.speak("en")
    page = await site.page("audit")
    assert "Limited mail to 1,200 concurrent jobs." in page
    assert 'href="./queues/mail"' in page


async def test_the_audit_log_can_be_filtered(site: PartsSite) -> None:
    await site.said("queues/pause", "queues", queue="mail")
    await site.said("queues/pause", "queues", queue="reports")
    await site.said("queues/resume", "queues", queue="mail")

    async def entries(query: str) -> list[str]:
        return re.findall(r'title="queue ([^"]+)"', await site.page(f"audit?{query}"))

    assert await entries("") == ["mail", "reports", "mail"]
    assert await entries("actor=ann") == ["mail", "reports", "mail"]
    assert await entries("action=queues/pause") == ["reports", "mail"]
    assert await entries("action=queues/pause&target=MAIL") == ["mail"]
    assert await entries("actor=ann&size=1") == ["mail"]
    for query in ("actor=bob", "actor=ann%00", "target=100%25", "target=%5C_"):
        assert "No matching entries" in await site.page(f"audit?{query}")
    assert 'href="./audit?action=queues%2Fpause&amp;size=9"' in await site.page("audit?cursor=99&size=9")
