"""In development a link with a one-time token signs a browser in to the dashboard."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from fastapi import FastAPI

from application_client import open_application
from bulkport.dashboard import LinkAccess
from dashboard_site import browser_of
from import_steps import fetch

_SESSIONS = "SELECT way, viewer, role, length(browser), s::text FROM bulkport.dashboard_sessions s"


@asynccontextmanager
async def _application(url: str, **settings: object) -> AsyncIterator[tuple[FastAPI, LinkAccess]]:
    async with open_application(url, dashboard_open=False, **settings) as app:
        access = app.state.dashboard_access
        assert isinstance(access, LinkAccess)
        yield app, access


async def test_a_browser_that_opened_the_link_stays_signed_in(database_url: str) -> None:
    async with _application(database_url) as (app, access), browser_of(app) as browser:
        link = await access.new_link()
        opened = await browser.get(f"/hangfire/{link}")
        assert (opened.status_code, opened.headers["location"]) == (303, "./")
        assert opened.headers["referrer-policy"] == "no-referrer"
        page = await browser.get("/hangfire/")
        assert page.status_code == 200
        assert "developer (operator)" in page.text
        # As often as it likes, and also when the server was started anew.
        assert (await browser.get(f"/hangfire/{link}")).status_code == 303
        cookies = browser.cookies
    async with _application(database_url) as (app, _), browser_of(app) as browser:
        browser.cookies = cookies
        assert (await browser.get("/hangfire/")).status_code == 200


async def test_a_link_works_for_one_browser_and_expires(database_url: str) -> None:
    async with _application(database_url) as (app, access):
        link = await access.new_link()
        async with browser_of(app) as first, browser_of(app) as second:
            assert (await first.get(f"/hangfire/{link}")).status_code == 303
            again = await second.get(f"/hangfire/{link}")
            assert again.status_code == 403
            assert "was used before" in again.text
            assert (await second.get("/hangfire/")).status_code == 403
            for wrong in ("sign-in", "sign-in?token=", "sign-in?token=%00", f"sign-in?token={'a' * 43}"):
                assert (await second.get(f"/hangfire/{wrong}")).status_code == 403
            # What is open to strangers leads to nothing else.
            for path in ("static/a/b", "static/..%2f..%2fetc/passwd", "static/no.css", "sign-in/x"):
                assert (await second.get(f"/hangfire/{path}")).status_code in (403, 404)
            old = await access.new_link()
            async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
                await connection.execute("UPDATE bulkport.dashboard_links SET expires_at = now() - interval '1 s'")
            assert (await second.get(f"/hangfire/{old}")).status_code == 403


async def test_signing_out_ends_the_session_for_everyone_with_its_cookie(database_url: str) -> None:
    async with _application(database_url) as (app, access), browser_of(app) as browser, browser_of(app) as thief:
        await browser.get(f"/hangfire/{await access.new_link()}")
        page = (await browser.get("/hangfire/")).text
        thief.cookies.set("bulkport_session", browser.cookies["bulkport_session"])
        assert (await thief.get("/hangfire/")).status_code == 200
        token = page.split('name="csrf" value="')[1].split('"')[0]
        for form, headers in (({"csrf": ""}, {}), ({"csrf": token}, {"sec-fetch-site": "cross-site"})):
            refused = await browser.post("/hangfire/sign-out", data=form, headers=headers)
            assert refused.status_code == 403
        assert (await browser.post("/hangfire/sign-out", data={"csrf": token})).status_code == 303
        assert (await browser.get("/hangfire/")).status_code == 403
        assert (await thief.get("/hangfire/")).status_code == 403


async def test_cookies_are_secure_if_the_public_address_is_https(database_url: str) -> None:
    public = "https://jobs.example/hangfire"
    async with _application(database_url, dashboard_public_url=public) as (app, access), browser_of(app) as browser:
        opened = await browser.get(f"/hangfire/{await access.new_link()}")
        cookie = opened.headers["set-cookie"]
        assert cookie.startswith("__Host-bulkport_session=")
        assert {"Secure", "HttpOnly", "Path=/"} <= {part.strip() for part in cookie.split(";")}


async def test_sessions_are_stored_as_digests(database_url: str) -> None:
    async with _application(database_url) as (app, access), browser_of(app) as browser:
        await browser.get(f"/hangfire/{await access.new_link()}", headers={"user-agent": "a browser\x01" + "x" * 500})
        token = browser.cookies["bulkport_session"]
        rows = await fetch(database_url, _SESSIONS)
        assert [row[:4] for row in rows] == [("link", "developer", "operator", 200)]
        assert token not in rows[0][4]


async def test_sessions_are_listed_and_operators_can_end_them(database_url: str) -> None:
    async with _application(database_url) as (app, access), browser_of(app) as ann, browser_of(app) as other:
        await ann.get(f"/hangfire/{await access.new_link()}")
        await other.get(f"/hangfire/{await access.new_link()}", headers={"user-agent": "Lynx/2.9"})
        page = (await ann.get("/hangfire/sessions")).text
        assert "Lynx/2.9" in page
        token = page.split('name="csrf" value="')[1].split('"')[0]
        ids = await fetch(database_url, "SELECT id FROM bulkport.dashboard_sessions WHERE browser = 'Lynx/2.9'")
        done = await ann.post("/hangfire/do/sessions/end", data={"csrf": token, "id": str(ids[0][0]), "confirmed": "1"})
        assert done.status_code == 303
        assert (await other.get("/hangfire/")).status_code == 403
        assert (await ann.get("/hangfire/sessions")).status_code == 200
