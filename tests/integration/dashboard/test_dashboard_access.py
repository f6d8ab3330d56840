"""Who may see the dashboard."""

import re

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import Request

from application_client import assert_problem
from bulkport.dashboard import ClosedAccess, HookAccess, LoopbackAccess, Role, Viewer
from commandapi.app import create_app
from commandapi.settings import Environment, Settings
from dashboard_site import browser_of, build_site, sample_data

PATHS = ["/hangfire", "/hangfire/", "/hangfire/jobs", "/hangfire/live/jobs", "/hangfire/static/x.css", "/hangfire/nope"]
NOWHERE = "postgresql://nowhere.invalid/none"


def site() -> FastAPI:
    return build_site(sample_data(), LoopbackAccess())


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.3.2.1", "[::1]", "LOCALHOST", "localhost:8000"])
@pytest.mark.parametrize("client", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
async def test_those_at_this_machine_are_operators_in_development(host: str, client: str) -> None:
    async with browser_of(site(), base_url=f"http://{host}", client=client) as browser:
        answer = await browser.get("/hangfire/")
    assert answer.status_code == 200
    assert "local developer, operator" in answer.text


@pytest.mark.parametrize("client", ["192.168.1.4", "10.0.0.1", "8.8.8.8", "::ffff:8.8.8.8", "testclient"])
@pytest.mark.parametrize("path", PATHS)
async def test_others_get_what_is_said_of_a_path_that_does_not_exist(client: str, path: str) -> None:
    async with browser_of(site(), client=client) as browser:
        answer = await browser.get(path)
        missing = await browser.get("/nowhere")
    body = assert_problem(answer, 404)
    assert {**body, "instance": "", "traceId": ""} == {**missing.json(), "instance": "", "traceId": ""}
    assert {**answer.headers, "content-length": ""} == {**missing.headers, "content-length": ""}


@pytest.mark.parametrize(
    "header",
    ["X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Forwarded-Host", "Via", "X-Forwarded-Proto", "CF-Connecting-IP"],
)
async def test_what_came_through_a_proxy_is_not_from_this_machine(header: str) -> None:
    async with browser_of(site()) as browser:
        assert (await browser.get("/hangfire/", headers={header: "127.0.0.1"})).status_code == 404


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example"])
async def test_host_names_that_were_made_to_lead_here_are_refused(host: str) -> None:
    async with browser_of(site(), base_url=f"http://{host}") as browser:
        assert (await browser.get("/hangfire/")).status_code == 404


@pytest.mark.parametrize("host", ["", "localhost:evil", "evil.example:99999999", "a b", "[::1", "\xfcber.example"])
async def test_hosts_that_no_url_can_have_are_refused(host: str) -> None:
    async with browser_of(site()) as browser:
        answer = await browser.get("/hangfire/", headers={"Host": host.encode("latin-1")})  # type: ignore[dict-item]
    assert answer.status_code == 404


async def test_client_whose_address_is_unknown_is_refused() -> None:
    transport = httpx.ASGITransport(site())

    async def without_client(scope, receive, send):  # type: ignore[no-untyped-def]
        await transport.app({**scope, "client": None}, receive, send)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(without_client), base_url="http://localhost") as browser:
        assert (await browser.get("/hangfire/")).status_code == 404


@pytest.mark.parametrize("path", PATHS)
async def test_closed_dashboard_cannot_be_told_from_none(path: str) -> None:
    async with browser_of(build_site(sample_data(), ClosedAccess())) as browser:
        assert_problem(await browser.get(path), 404)
        if not path.endswith("hangfire"):
            assert_problem(await browser.post(path), 404)


async def test_application_decides_by_a_hook() -> None:
    async def authorize(request: Request) -> Viewer | None:
        role = {"o": Role.OPERATOR, "r": Role.READ_ONLY}.get(request.headers.get("x-role", ""))
        assert request.url.path.startswith("/hangfire")
        return Viewer("eve", role) if role else None

    async with browser_of(build_site(sample_data(), HookAccess(authorize)), client="8.8.8.8") as browser:
        assert (await browser.get("/hangfire/")).status_code == 404
        assert "eve, operator" in (await browser.get("/hangfire/", headers={"x-role": "o"})).text
        assert "eve, read-only" in (await browser.get("/hangfire/", headers={"x-role": "r"})).text


async def test_command_api_shows_it_at_this_machine_in_development_only() -> None:
    # 503: it is shown, and has no database.
    for environment, status in ((Environment.DEVELOPMENT, 503), (Environment.PRODUCTION, 404)):
        app = create_app(Settings(database_url=NOWHERE, environment=environment))
        async with browser_of(app) as browser:
            assert (await browser.get("/hangfire/")).status_code == status


async def test_command_api_serves_it_where_the_setting_says() -> None:
    app = create_app(Settings(database_url=NOWHERE, dashboard_path="/internal/jobs"))
    async with browser_of(app) as browser:
        assert (await browser.get("/internal/jobs/")).status_code == 503
        assert (await browser.get("/hangfire/")).status_code == 404


@pytest.mark.parametrize("path", ["hangfire", "/", "/hangfire/", "/a b", "/{x}"])
def test_unusable_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="dashboard_path"):
        Settings(database_url=NOWHERE, dashboard_path=path)


async def test_requests_are_counted_by_what_was_asked_and_not_by_every_address() -> None:
    app = create_app(Settings(database_url=NOWHERE))
    async with browser_of(app) as browser:
        await browser.get("/hangfire/")
        await browser.get("/hangfire/a-name-that-nobody-knows")
        metrics = (await browser.get("/metrics")).text
    assert "a-name-that-nobody-knows" not in metrics
    assert re.search(r'http_requests_total\{method="GET",route="/hangfire/\{rest\}",status="404"\} 1', metrics)
