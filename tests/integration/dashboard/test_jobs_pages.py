"""The lists of jobs, and actions on selected and on all matching jobs."""

import hashlib
import json
import re
from collections.abc import AsyncIterator
from urllib.parse import urlencode

import psycopg
import pytest
from dashboard_forms import READER, Operator, operating

from bulkport.identifiers import BackgroundJobId
from bulkport.jobs import JobState
from each_case import case


@pytest.fixture
async def operator(database_url: str) -> AsyncIterator[Operator]:
    async with operating(database_url) as one:
        yield one


def numbers(ids: list[BackgroundJobId]) -> list[int]:
    return [int(job_id) for job_id in ids]


async def failed_jobs(operator: Operator, count: int) -> list[BackgroundJobId]:
    call = operator.site.strict.call
    return await operator.ended([call(f"row {n}") for n in range(count)], JobState.FAILED)


async def test_each_state_has_a_view_with_its_count(operator: Operator) -> None:
    site = operator.site
    (failed,) = await failed_jobs(operator, 1)
    enqueued = await site.jobs.enqueue(site.send_report.options(user_id="alice").call("ada@example.org"))
    scheduled = await site.jobs.schedule(site.send_report, "bob@example.org", in_=3600)
    awaiting = await site.jobs.continue_with(enqueued, site.send_report.call("next@example.org"))
    cancelled = await site.jobs.enqueue(site.send_report, "eve@example.org")
    await site.jobs.cancel(cancelled)
    views = {
        "enqueued": enqueued,
        "scheduled": scheduled,
        "awaiting": awaiting,
        "failed": failed,
        "cancelled": cancelled,
    }
    for state, job_id in views.items():
        assert await operator.rows(f"jobs?state={state}") == [int(job_id)], state
        page = await operator.page(f"jobs?state={state}")
        assert re.search(r'aria-current="page">\w+<span class="count[ hot]*">1</span></a>', page), state
    assert await operator.rows("jobs") == sorted(map(int, views.values()), reverse=True)
    assert "ValueError: row 0" in await operator.page("jobs?state=failed")
    page = await operator.page("jobs?state=enqueued")
    assert "alice" in page
    assert "recipient=&#34;ada@example.org&#34;" in page


async def test_a_search_does_not_reveal_masked_values(operator: Operator) -> None:
    site = operator.site
    await site.jobs.enqueue(site.strict.call("plain reason", password="open-sesame"))
    spoken = await site.jobs.enqueue(site.strict.call("she said open-sesame", password="x"))
    assert await operator.rows("jobs?text=OPEN-sesame") == [int(spoken)]
    async with site.worker():
        await site.reaches(spoken, JobState.FAILED)
    assert await operator.rows("jobs?text=OPEN-sesame") == [int(spoken)]


async def test_masked_values_are_not_revealed_by_long_arguments_or_counts(operator: Operator) -> None:
    site = operator.site
    # Lists are not given arguments that are this long.
    long = "".join(hashlib.sha256(bytes([number])).hexdigest() for number in range(250))
    await site.jobs.enqueue(site.strict.call("long", password=f"open-sesame {long}"))
    await site.jobs.enqueue(site.strict.call("plain reason", password="open-sesame"))
    spoken = await site.jobs.enqueue(site.strict.call(f"open-sesame {long}"))
    assert await operator.rows("jobs?text=open-sesame") == [int(spoken)]
    await operator.press("jobs/delete", {"all": "jobs"}, back="jobs?text=open-sesame")
    assert operator.question == "Delete 1 job (text: open-sesame)?"


async def test_a_page_of_masked_matches_looks_like_an_empty_page(operator: Operator) -> None:
    site = operator.site
    spoken = await site.jobs.enqueue(site.strict.call("open-sesame"))
    hidden = site.strict.call("plain reason", password="open-sesame")
    await site.jobs.enqueue_many([hidden] * 7)
    assert await operator.rows("jobs?text=open-sesame&size=2") == [int(spoken)]
    await site.jobs.cancel(spoken)
    address = "jobs?text=open-sesame&state=enqueued&size=2"
    page, other = await operator.page(address), await operator.page(address.replace("open", "shut"))
    assert "No matching jobs" in page
    assert 'rel="next"' not in page
    assert len(page) == len(other)


async def test_an_empty_view_says_what_to_do(operator: Operator) -> None:
    for state in [
        "",
        "enqueued",
        "scheduled",
        "awaiting",
        "retrying",
        "processing",
        "succeeded",
        "failed",
        "cancelled",
    ]:
        with case(state):
            page = await operator.page(f"jobs?state={state}")
            assert 'class="empty"' in page
            assert 'class="bulk"' not in page


async def test_filters_are_in_the_address(operator: Operator) -> None:
    site = operator.site
    ada = await site.jobs.enqueue(site.send_report.options(user_id="u1").call("ada@example.org"))
    bob = await site.jobs.enqueue(site.send_report.options(queue="slow").call("bob@example.org"))
    gate = await site.jobs.enqueue(site.wait, "gate")
    found = {
        "task=wait": [gate],
        "queue=slow": [bob],
        "user=u1": [ada],
        "text=ADA@": [ada],
        "state=enqueued&task=send_report": [bob, ada],
        "within=hour": [gate, bob, ada],
        "until=2020-01-01": [],
        "order=asc": [ada, bob, gate],
        "batch=1": [],
        "task=wait,strict&queue=default,slow": [gate],
        "task=wait&task=send_report&user=u1,u2": [ada],
        "state=enqueued,failed&queue=slow,mail": [bob, ada],
    }
    for query, expected in found.items():
        assert await operator.rows(f"jobs?{query}") == numbers(expected), query
    page = await operator.page("jobs?state=enqueued&queue=slow&text=bob&batch=3")
    assert 'name="state" value="enqueued"' in page
    assert 'name="text" value="bob"' in page
    assert 'href="../jobs?queue=slow&amp;state=enqueued&amp;text=bob"' in page or 'title="Remove this filter"' in page
    assert "No matching jobs" in page
    assert '<option value="send_report">' in page
    page = await operator.page("jobs?state=enqueued,failed&task=wait,send_report")
    assert re.findall(r'class="join">(.*?)<', page) == ["or", "or"]
    assert 'href="./jobs?state=enqueued%2Cfailed&amp;task=wait"' in page
    assert (await operator.led_by(f"search?q={ada}")).endswith(f"jobs/{ada}")
    assert (await operator.led_by(f"jobs?q={ada}")).endswith(f"search?q={ada}")


async def test_the_search_field_suggests_matches(operator: Operator) -> None:
    jobs = operator.site.jobs
    await jobs.enqueue(operator.site.send_report.options(user_id="Ada, Bob", tags=["red"]).call("ada@example.org"))
    await jobs.enqueue(operator.site.strict.call("no row", password="hunter2"))
    suggested = {
        "ta": ["task:", "tag:"],
        "queue:slow ta": ["queue:slow task:", "queue:slow tag:"],
        "task:str": ["task:strict"],
        "task:strict,": ["task:strict,send_report"],
        "user:a": ['user:"Ada, Bob"'],
        "tag:": ["tag:red"],
        "args.re": ["args.reason:", "args.recipient:"],
        "args.reason:": ['args.reason:"no row"'],
        "args.pass": [],
        "args.password:": [],
        "hunter": [],
        'user:"unfinished': [],
        "state:suc": ["state:succeeded"],
        "nobody:": [],
    }
    for typed, expected in suggested.items():
        with case(typed):
            found = json.loads(await operator.page(f"search/suggestions?{urlencode({'q': typed})}"))
            assert found == expected


async def test_filters_can_be_saved_as_views_shared_and_removed(operator: Operator) -> None:
    await operator.site.jobs.enqueue(operator.site.wait, "gate")
    back = "jobs?state=enqueued&task=wait,strict&cursor="
    said = await operator.said("views/save", {"view_name": " late  <reports> ", "shared": "yes"}, back=back)
    assert said == "Saved the view late <reports>."
    page = await operator.page("jobs")
    (view,) = re.findall(r'href="\./views/(\d+)"', page)
    assert "late &lt;reports&gt;" in page
    assert "Save these filters" not in page
    assert await operator.led_by(f"views/{view}") == "../jobs?state=enqueued&task=wait%2Cstrict"
    assert f'href="./views/{view}" aria-current="page"' in await operator.page("jobs?task=wait,strict&state=enqueued")
    # The same name again: another filter behind the same link.
    await operator.said("views/save", {"view_name": "late <reports>"}, back="jobs?task=wait")
    assert await operator.led_by(f"views/{view}") == "../jobs?task=wait"
    for name, where in (("", "jobs?task=wait"), ("x" * 61, "jobs?task=wait"), ("name", "jobs")):
        with case(name):
            await operator.said("views/save", {"view_name": name}, back=where)
    assert len(re.findall(r'href="\./views/\d+"', await operator.page("jobs"))) == 1
    assert await operator.said("views/remove", {"view": view}, back="jobs") == "Removed the view late <reports>."
    await operator.page(f"views/{view}", status=404)
    assert await operator.said("views/remove", {"view": view}, back="jobs") == "You have no such view."


async def test_a_meaningless_address_is_reported(operator: Operator) -> None:
    for query in ["state=nothing", "since=the+day+before", "batch=none", "cursor=abc", "task=%00"]:
        with case(query):
            page = await operator.page(f"jobs?{query}", status=400)
            assert "Back to overview" in page or "Enter a date like" in page


async def test_pages_link_forward_and_back(operator: Operator) -> None:
    site = operator.site
    ids = numbers([job.id for job in await site.jobs.enqueue_many([site.wait.call(f"g{n}") for n in range(60)])])
    address, seen = "jobs?size=25", []
    pages = []
    while True:
        pages.append(await operator.rows(address))
        seen += pages[-1]
        page = await operator.page(address)
        following = re.search(r'href="\./(jobs\?[^"]+)" rel="next"', page)
        if following is None:
            break
        address = following[1].replace("&amp;", "&")
    assert seen == ids[::-1]
    assert [len(page) for page in pages] == [25, 25, 10]
    back = re.search(r'href="\./(jobs\?[^"]+)" rel="prev"', page)
    assert back is not None
    assert await operator.rows(back[1].replace("&amp;", "&")) == pages[1]


async def test_enqueued_jobs_are_grouped_by_queue(operator: Operator) -> None:
    site = operator.site
    for queue in ("mail", "mail", "slow"):
        await site.jobs.enqueue(site.send_report.options(queue=queue).call("ada"))
    page = await operator.page("jobs?state=enqueued")
    assert re.search(r'queue=mail&amp;state=enqueued"[^>]*>mail<span class="count">2</span>', page)


async def test_selected_jobs_are_requeued_once(operator: Operator) -> None:
    ids = await failed_jobs(operator, 3)
    chosen = {"id": ids[:2]}
    back = "jobs?state=failed"
    assert await operator.said("jobs/requeue", chosen, back=back) == "2 jobs requeued."
    assert operator.question == "Requeue the 2 selected jobs?"
    assert await operator.rows(back) == numbers(ids[2:])
    assert await operator.said("jobs/requeue", {"id": ids}, back=back) == "1 job requeued, 2 already waiting."
    details = await operator.jobs.details(ids[0])
    assert details is not None
    assert [entry.change.actor for entry in details.timeline if entry.change] == ["ann"]


async def test_a_form_submitted_twice_copies_a_finished_job_once(operator: Operator) -> None:
    site = operator.site
    job_id = await site.jobs.enqueue(site.send_report, "ada")
    async with site.worker():
        await site.reaches(job_id, JobState.SUCCEEDED)
    said = await operator.send_twice("jobs/requeue", {"id": job_id}, back=f"jobs/{job_id}")
    assert said == f"Already done: Enqueued a copy of job {job_id}."
    (repeated,) = await operator.rows("jobs?state=enqueued")
    assert operator.led_to == f"../../jobs/{repeated}"
    assert await operator.said("jobs/requeue", {"id": job_id}, back=f"jobs/{job_id}")
    assert len(await operator.rows("jobs?state=enqueued")) == 2


async def test_acting_on_all_matches_shows_their_number(operator: Operator) -> None:
    site = operator.site
    failed = await failed_jobs(operator, 30)
    other = await site.jobs.enqueue(site.send_report, "ada")
    back = "jobs?state=failed&task=strict&size=25"
    page = await operator.page(back)
    assert "Requeue all 30" in page
    assert await operator.said("jobs/requeue", {"all": "jobs"}, back=back) == "30 jobs requeued."
    assert operator.question == "Requeue all 30 failed strict jobs?"
    assert (
        await operator.said("jobs/delete", {"all": "jobs"}, back="jobs?state=enqueued&task=strict")
        == "30 jobs deleted."
    )
    assert await operator.rows("jobs?state=enqueued") == [int(other)]
    assert set(await operator.rows("jobs?state=cancelled")) == set(numbers(failed))
    async with await psycopg.AsyncConnection.connect(site.url) as connection:
        entries = await (
            await connection.execute("SELECT actor, action, target, outcome FROM bulkport.audit ORDER BY id")
        ).fetchall()
    assert entries == [
        ("ann", "jobs/requeue", "failed strict jobs", "30 jobs requeued."),
        ("ann", "jobs/delete", "enqueued strict jobs", "30 jobs deleted."),
    ]


async def test_acting_on_all_jobs_of_every_state_is_never_offered(operator: Operator) -> None:
    site = operator.site
    await site.jobs.enqueue_many([site.wait.call(f"g{n}") for n in range(30)])
    assert "Delete all" not in await operator.page("jobs?size=25")
    assert "Delete all" in await operator.page("jobs?size=25&state=enqueued")


async def test_an_outdated_filter_acts_on_nothing(operator: Operator) -> None:
    (failed,) = await failed_jobs(operator, 1)
    page = await operator.press("jobs/requeue", {"all": "jobs", "filter": "state=failed&since=never"})
    assert "Enter a date like 2026-07-01 14:00" in page
    assert "No jobs selected." in await operator.press("jobs/requeue", {})
    assert "Unknown list of jobs" in await operator.press("jobs/requeue", {"all": "imports"})
    assert await operator.said("jobs/requeue", {"id": "999"}) == "Job 999 no longer exists."
    assert await operator.rows("jobs?state=failed") == [int(failed)]


async def test_read_only_users_have_no_buttons_and_cannot_act(database_url: str) -> None:
    async with operating(database_url, READER) as reader:
        job_id = await reader.jobs.enqueue(reader.site.send_report, "ada")
        for address in ("jobs", f"jobs/{job_id}", "retries", "recurring"):
            page = await reader.page(address)
            assert "do/jobs" not in page, address
            assert "data-pick" not in page, address
