"""Who may see the dashboard."""

import re

import pytest
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from application_client import assert_problem, open_application
from bulkport import Bulkport
from bulkport.dashboard import ClosedAccess, HookAccess, OpenAccess, Role, Viewer
from commandapi.app import create_app
from commandapi.settings import Environment, Settings
from dashboard_site import browser_of, build_site, sample_data

PATHS = [
    "/hangfire",
    "/hangfire/",
    "/hangfire/jobs",
    "/hangfire/live/?watch=jobs",
    "/hangfire/static/x.css",
    "/hangfire/nope",
]
NOWHERE = "postgresql://nowhere.invalid/none"
BULKPORT = Bulkport(NOWHERE)


async def test_an_open_dashboard_admits_everybody() -> None:
    async with browser_of(build_site(sample_data(), OpenAccess()), client="8.8.8.8") as browser:
        answer = await browser.get("/hangfire/")
    assert answer.status_code == 200
    assert "Signed in as local developer (operator)" in answer.text


@pytest.mark.parametrize("path", PATHS)
async def test_a_closed_dashboard_is_indistinguishable_from_none(path: str) -> None:
    async with browser_of(build_site(sample_data(), ClosedAccess())) as browser:
        assert_problem(await browser.get(path), 404)
        if not path.endswith("hangfire"):
            assert_problem(await browser.post(path), 404)


@pytest.mark.parametrize("has_handler", [False, True])
async def test_a_closed_dashboard_answers_like_the_applications_404(has_handler: bool) -> None:
    app = FastAPI()
    if has_handler:

        @app.exception_handler(HTTPException)
        async def answer(request: Request, error: HTTPException) -> JSONResponse:
            return JSONResponse({"error": error.detail}, error.status_code, {"x-own": "yes"})

    app.mount("/jobs", BULKPORT.dashboard(access=lambda request: None))
    async with browser_of(app) as browser:
        nothing = await browser.get("/nothing")
        for path in ("/jobs/", "/jobs/jobs", "/jobs/static/x.css"):
            found = await browser.get(path)
            assert (found.status_code, found.text) == (404, nothing.text)
            assert found.headers == nothing.headers


async def test_the_application_decides_access_by_a_hook() -> None:
    async def authorize(request: Request) -> Viewer | None:
        role = {"o": Role.OPERATOR, "r": Role.READ_ONLY}.get(request.headers.get("x-role", ""))
        assert request.url.path.startswith("/hangfire")
        return Viewer("eve", role) if role else None

    async with browser_of(build_site(sample_data(), HookAccess(authorize)), client="8.8.8.8") as browser:
        assert (await browser.get("/hangfire/")).status_code == 404
        assert "Signed in as eve (operator)" in (await browser.get("/hangfire/", headers={"x-role": "o"})).text
        assert "Signed in as eve (read-only)" in (await browser.get("/hangfire/", headers={"x-role": "r"})).text


async def test_the_command_api_hides_the_dashboard_in_production() -> None:
    for settings in ({}, {"environment": Environment.PRODUCTION}):
        app = create_app(Settings(database_url=NOWHERE, **settings))
        async with browser_of(app) as browser:
            for path in PATHS:
                assert_problem(await browser.get(path), 404)


async def test_the_command_api_grants_no_access_by_client_address(database_url: str) -> None:
    async with open_application(database_url, dashboard_open=False) as app:
        for headers in ({}, {"X-Forwarded-For": "127.0.0.1"}, {"X-Real-IP": "127.0.0.1"}):
            async with browser_of(app, client="127.0.0.1") as browser:
                answer = await browser.get("/hangfire/", headers=headers)
                assert answer.status_code == 403
                assert "sign-in link" in answer.text
                assert "commandapi dashboard link" in answer.text


async def test_the_command_api_opens_the_dashboard_where_the_setting_says_so() -> None:
    app = create_app(Settings(database_url=NOWHERE, dashboard_open=True))
    async with browser_of(app, client="8.8.8.8") as browser:
        # It is shown, and has no database.
        assert (await browser.get("/hangfire/")).status_code == 503


async def test_the_command_api_serves_the_dashboard_at_the_configured_path() -> None:
    app = create_app(Settings(database_url=NOWHERE, dashboard_path="/internal/jobs", dashboard_open=True))
    async with browser_of(app) as browser:
        assert (await browser.get("/internal/jobs/")).status_code == 503
        assert (await browser.get("/hangfire/")).status_code == 404


@pytest.mark.parametrize("path", ["hangfire", "/", "/hangfire/", "/a b", "/{x}"])
def test_an_unusable_path_is_rejected(path: str) -> None:
    with pytest.raises(ValueError, match="dashboard_path"):
        Settings(database_url=NOWHERE, dashboard_path=path)


async def test_requests_are_counted_by_route_not_by_address() -> None:
    app = create_app(Settings(database_url=NOWHERE, dashboard_open=True))
    async with browser_of(app) as browser:
        await browser.get("/hangfire/")
        await browser.get("/hangfire/a-name-that-nobody-knows")
        metrics = (await browser.get("/metrics")).text
    assert "a-name-that-nobody-knows" not in metrics
    assert re.search(r'http_requests_total\{method="GET",route="/hangfire/\{rest\}",status="404"\} 1', metrics)
