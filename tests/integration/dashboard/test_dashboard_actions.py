"""What operators do: refused, asked about, done, audited and told."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from bulkport.dashboard import AuditLog, Role, Viewer
from bulkport.dashboard.core.action import Action, ActionRequest, Begun, Done, Form, Outcome, perform
from bulkport.pools import open_pool
from dashboard_site import FixedAccess, SiteData, browser_of, build_site, sample_data


async def token_of(browser: httpx.AsyncClient) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', (await browser.get("/hangfire/jobs")).text)
    assert found is not None
    return found[1]


async def post(browser: httpx.AsyncClient, action: str, fields: Any, **headers: str) -> httpx.Response:
    return await browser.post(f"/hangfire/do/{action}", data=fields, headers=headers)


async def test_an_action_is_done_audited_and_reported_once() -> None:
    data = sample_data()
    async with browser_of(build_site(data, FixedAccess())) as browser:
        form = {"csrf": await token_of(browser), "id": ["1", "4"], "confirmed": "yes", "back": "jobs?state=failed"}
        answer = await post(browser, "jobs/requeue", form)
        assert (answer.status_code, answer.headers["location"]) == (303, "../../jobs?state=failed")
        assert data.audit == [("ann", "jobs/requeue", "jobs [1, 4]", "2 requeued.")]
        assert "2 requeued." in (await browser.get("/hangfire/jobs")).text
        assert "2 requeued." not in (await browser.get("/hangfire/jobs")).text


async def test_a_form_submitted_twice_acts_once() -> None:
    data = sample_data()
    async with browser_of(build_site(data, FixedAccess())) as browser:
        token = await token_of(browser)
        form = {"csrf": token, "id": ["1", "4"], "confirmed": "yes", "back": "jobs"}
        for said in ("2 requeued.", "Already done: 2 requeued."):
            await post(browser, "jobs/requeue", form)
            page = (await browser.get("/hangfire/jobs")).text
            assert re.search(rf'class="flash"[^>]*>.*</svg>{said}</div>', page)
        # Another choice on the same page is another form, and so is the same one on the page as it is loaded anew.
        await post(browser, "jobs/requeue", {**form, "id": ["1"]})
        await post(browser, "jobs/requeue", {**form, "csrf": await token_of(browser)})
    assert [target for _, _, target, _ in data.audit] == ["jobs [1, 4]", "jobs [1]", "jobs [1, 4]"]


async def test_a_concurrent_duplicate_form_waits_for_the_first() -> None:
    data = sample_data()
    go_on = asyncio.Event()
    runs = 0

    async def run(request: ActionRequest) -> Done:
        nonlocal runs
        runs += 1
        await go_on.wait()
        return Done("Done.", target="all", lead_to="jobs/7")

    asked = ActionRequest(Viewer("ann", Role.OPERATOR), Form([("csrf", "a token")]))
    action = Action("jobs/delete", "Delete", run)
    both = [asyncio.create_task(perform(action, asked, data)) for _ in range(2)]
    while len(data.forms) < 1 or not runs:
        await asyncio.sleep(0.02)
    go_on.set()
    first, second = [flash.text for _, flash in await asyncio.gather(*both)]
    assert (first, second, runs) == ("Done.", "Already done: Done.", 1)


async def test_without_javascript_the_confirmation_is_a_page() -> None:
    data = sample_data()
    async with browser_of(build_site(data, FixedAccess())) as browser:
        form = {"csrf": await token_of(browser), "id": ["1", "4"], "back": "jobs"}
        asked = await post(browser, "jobs/requeue", form)
        assert asked.status_code == 200
        assert "Requeue 2 jobs?" in asked.text
        assert data.audit == []
        fields: dict[str, list[str]] = {}
        confirm_form = asked.text[asked.text.index('class="pad question"') :].split("</form>")[0]
        for name, value in re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', confirm_form):
            fields.setdefault(name, []).append(value)
        done = await post(browser, "jobs/requeue", fields)
        assert done.headers["location"] == "../../jobs"
        assert data.audit[0][2] == "jobs [1, 4]"


async def test_a_rejected_action_says_why_and_is_audited() -> None:
    data = sample_data()
    async with browser_of(build_site(data, FixedAccess())) as browser:
        form = {"csrf": await token_of(browser), "confirmed": "yes", "back": "jobs"}
        await post(browser, "jobs/requeue", form)
        page = (await browser.get("/hangfire/jobs")).text
    assert re.search(r'class="flash bad"[^>]*>.*No job was chosen\.', page)
    assert data.audit == [("ann", "jobs/requeue", "", "No job was chosen.")]


async def test_a_failing_action_is_audited() -> None:
    data = sample_data()
    async with browser_of(build_site(data, FixedAccess())) as browser:
        answer = await post(browser, "jobs/break", {"csrf": await token_of(browser), "id": "7"})
    assert answer.status_code == 500
    assert data.audit == [("ann", "jobs/break", "id=7", "failed; some of it may be done")]


async def test_an_action_interrupted_by_a_shutdown_is_audited() -> None:
    data = sample_data()
    has_begun = asyncio.Event()

    async def run(request: ActionRequest) -> Done:
        has_begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    asked = ActionRequest(Viewer("ann", Role.OPERATOR), Form([("all", "jobs"), ("filter", "state=failed")]))
    running = asyncio.create_task(perform(Action("jobs/delete", "Delete", run), asked, data))
    await has_begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert data.audit == [
        ("ann", "jobs/delete", "all=jobs, filter=state=failed", "interrupted; some of it may be done")
    ]


async def test_read_only_viewers_see_no_buttons_and_cannot_act() -> None:
    data = sample_data()
    async with browser_of(build_site(data, FixedAccess(Role.READ_ONLY))) as browser:
        page = (await browser.get("/hangfire/jobs")).text
        assert "do/jobs" not in page
        assert "data-pick" not in page
        answer = await post(browser, "jobs/touch", {"csrf": await token_of(browser)})
    assert answer.status_code == 403
    assert data.audit == []


@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        ({"id": "1"}, {}),
        ({"csrf": "wrong"}, {}),
        ({"csrf": None}, {"Sec-Fetch-Site": "cross-site"}),
        ({"csrf": None}, {"Origin": "http://evil.example"}),
    ],
    ids=["no token", "wrong token", "another site", "another origin"],
)
async def test_forms_from_elsewhere_are_rejected(fields: dict[str, str | None], headers: dict[str, str]) -> None:
    data = sample_data()
    async with browser_of(build_site(data, FixedAccess())) as browser:
        token = await token_of(browser)
        sent = {name: token if value is None else value for name, value in fields.items()}
        answer = await post(browser, "jobs/touch", sent, **headers)
    assert answer.status_code == 403
    assert "The form was rejected" in answer.text
    assert data.audit == []


async def test_another_viewers_token_in_the_same_browser_is_rejected() -> None:
    access = FixedAccess()
    data = sample_data()
    async with browser_of(build_site(data, access)) as browser:
        token = await token_of(browser)
        access.current = Viewer("bob", Role.OPERATOR)
        assert (await post(browser, "jobs/touch", {"csrf": token})).status_code == 403
    assert data.audit == []


async def test_bodies_that_are_not_forms_are_rejected() -> None:
    async with browser_of(build_site(SiteData(), FixedAccess())) as browser:
        token = await token_of(browser)
        as_json = await browser.post("/hangfire/do/jobs/touch", json={"csrf": token})
        too_long = await post(browser, "jobs/touch", {"csrf": token, "id": "1" * 2**20})
        unknown = await post(browser, "jobs/nothing", {"csrf": token})
        by_get = await browser.get("/hangfire/do/jobs/touch")
    assert (as_json.status_code, too_long.status_code, unknown.status_code, by_get.status_code) == (400, 400, 404, 405)


async def test_a_message_from_a_forged_cookie_is_escaped() -> None:
    async with browser_of(build_site(SiteData(), FixedAccess())) as browser:
        for forged in ("x", "W10=", "WyJhIiwxXQ==", "é"):
            answer = await browser.get("/hangfire/", headers={"Cookie": f"bulkport_flash={forged}".encode()})
            assert answer.status_code == 200
            assert 'class="flash' not in answer.text


async def test_the_audit_log_is_stored_in_the_database(database_url: str) -> None:
    async with open_pool(database_url, name="audit", most=2) as pool:
        audit = AuditLog(lambda: pool)
        first = await audit.begin("ann", "jobs/requeue", "id=1", "one form")
        await audit.settle(first.entry_id, "job 1", Outcome("1 requeued.\0", "jobs/2"))
        second = await audit.begin("bob", "queues/pause", "mail", "another form")
        assert await audit.outcome(second.entry_id) == Outcome(None)
        await audit.settle(second.entry_id, "mail", Outcome("Paused."))
        assert await audit.begin("ann", "jobs/requeue", "id=1", "one form") == Begun(first.entry_id, is_new=False)
        assert await audit.outcome(first.entry_id) == Outcome("1 requeued.\N{REPLACEMENT CHARACTER}", "jobs/2")
        newest, oldest = await audit.entries()
        assert (newest.actor, newest.action, newest.target, newest.outcome) == (
            "bob",
            "queues/pause",
            "mail",
            "Paused.",
        )
        assert (oldest.target, oldest.led_to) == ("job 1", "jobs/2")
        assert oldest.outcome == "1 requeued.\N{REPLACEMENT CHARACTER}"
        assert [entry.id for entry in await audit.entries(before=newest.id, limit=1)] == [oldest.id]
        await audit.break_off(second.entry_id, "interrupted")
        assert await audit.outcome(second.entry_id) == Outcome("Paused.; interrupted")


async def test_an_action_that_cannot_be_audited_is_an_error(database_url: str) -> None:
    async with open_pool(database_url, name="audit", most=1) as pool:
        async with pool.connection() as connection:
            await connection.execute("DROP TABLE bulkport.audit CASCADE")
        with pytest.raises(psycopg.Error):
            await AuditLog(lambda: pool).begin("ann", "jobs/touch", "", "a form")


async def test_old_audit_entries_are_removed_while_new_ones_arrive(database_url: str) -> None:
    async with open_pool(database_url, name="audit", most=2) as pool:
        async with pool.connection() as connection:
            await connection.execute(
                "INSERT INTO bulkport.audit (at, actor, action, target)"
                " SELECT clock_timestamp() - make_interval(days => 10 + 40 - number), 'ann', 'jobs/requeue', 'x'"
                " FROM generate_series(1, 40) number"
            )
            await connection.execute(
                "INSERT INTO bulkport.bulk_operations (operation_id, list, filter, touched_at, jobs, is_more)"
                " SELECT id, 'failed', '', at, 1, false FROM bulkport.audit"
            )
        audit = AuditLog(lambda: pool, keep=timedelta(days=30), keep_operations=timedelta(days=20))
        for number in range(50):
            await audit.begin("bob", "jobs/requeue", "y", f"form {number}")
        ages = [(datetime.now(UTC) - entry.at).days for entry in await audit.entries(limit=200)]
        assert sorted(ages) == [0] * 50 + list(range(10, 30))
        async with pool.connection() as connection:
            row = await (await connection.execute("SELECT count(*) FROM bulkport.bulk_operations")).fetchone()
            assert row == (10,)
