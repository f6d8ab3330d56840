"""Pages as browsers receive them: headers, files, the frame and error pages."""

import gzip
import re

import psycopg
import pytest

from bulkport.dashboard.core.masking import MASK
from dashboard_site import SiteData, browser_of, build_site, sample_data

PAGES = ["", "jobs", "jobs?state=failed&sort=state&order=asc", "jobs/1"]


@pytest.mark.parametrize("page", PAGES)
async def test_pages_carry_security_headers(page: str) -> None:
    async with browser_of(build_site(sample_data())) as browser:
        answer = await browser.get(f"/hangfire/{page}")
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert "camera=()" in answer.headers["permissions-policy"]
    assert "Accept-Encoding" in answer.headers["vary"]


@pytest.mark.parametrize("page", PAGES)
async def test_pages_have_nothing_inline_and_nothing_external(page: str) -> None:
    async with browser_of(build_site(sample_data())) as browser:
        html = (await browser.get(f"/hangfire/{page}")).text
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|<script(?![^>]*\ssrc=)", html)
    assert not re.findall(r'(?:src|href|action)="(?:https?:)?//', html)


async def test_static_files_are_named_by_content_and_cached_permanently() -> None:
    async with browser_of(build_site(sample_data())) as browser:
        html = (await browser.get("/hangfire/jobs/1")).text
        files = re.findall(r'(?:src|href)="\.\./(static/[^"]+)"', html)
        assert {re.sub(r"\.[0-9a-f]{12}", "", file) for file in files} >= {
            "static/dashboard.css",
            "static/dashboard.js",
            "static/favicon.svg",
        }
        for file in files:
            answer = await browser.get(f"/hangfire/{file}")
            assert "immutable" in answer.headers["cache-control"]
            assert answer.headers["content-encoding"] == "gzip"
            assert answer.headers["vary"] == "Accept-Encoding"
            plain = await browser.get(f"/hangfire/{file}", headers={"Accept-Encoding": "gzip;q=0"})
            assert "content-encoding" not in plain.headers
            assert plain.content == answer.content
        assert (await browser.get("/hangfire/static/dashboard.000000000000.css")).status_code == 404
        assert (await browser.get("/hangfire/static/..%2F__init__.py")).status_code == 404


async def test_a_first_visit_is_small() -> None:
    async with browser_of(build_site(sample_data())) as browser:
        page = await browser.get("/hangfire/")
        transferred = int(page.headers["content-length"])
        for file in set(re.findall(r'(?:src|href)="\./(static/[^"]+)"', page.text)):
            transferred += int((await browser.get(f"/hangfire/{file}")).headers["content-length"])
    assert transferred <= 60_000


async def test_a_page_is_sent_uncompressed_to_clients_without_gzip() -> None:
    async with browser_of(build_site(sample_data())) as browser:
        answer = await browser.get("/hangfire/", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in answer.headers
    assert len(gzip.compress(answer.content)) < len(answer.content)


@pytest.mark.parametrize(
    ("path", "root_path", "asked"),
    [
        ("/hangfire", "", "/hangfire"),
        ("/internal/jobs", "", "/internal/jobs"),
        ("/hangfire", "/prefix", "/hangfire"),  # a proxy removed the prefix
        ("/hangfire", "/prefix", "/prefix/hangfire"),  # or did not
    ],
)
async def test_the_dashboard_works_under_any_path_and_prefix(path: str, root_path: str, asked: str) -> None:
    async with browser_of(build_site(sample_data(), path=path), root_path=root_path) as browser:
        bare = await browser.get(asked)
        assert (bare.status_code, bare.headers["location"]) == (307, f"{asked.rpartition('/')[2]}/")
        first = await browser.get(asked, follow_redirects=True)
        assert first.url.path == f"{asked}/"
        job = await browser.get(str(first.url.join("./jobs/1")))
        assert job.status_code == 200
        for link in re.findall(r'href="([^"]+)"', job.text):
            if link.startswith("#"):
                continue
            target = job.url.join(link)
            assert target.path.startswith(f"{asked}/")
            if "imports" not in link and "retries" not in link:
                assert (await browser.get(str(target))).status_code == 200, link


async def test_the_frame_shows_counts_and_the_current_page() -> None:
    async with browser_of(build_site(sample_data())) as browser:
        html = (await browser.get("/hangfire/jobs?state=failed")).text
    assert re.search(r'href="\./jobs" aria-current="page">Jobs<span class="count">1,284</span>', html)
    assert re.search(r'href="\./jobs\?state=failed" aria-current="page">Failed<span class="count hot">17</span>', html)
    assert "<title>Jobs · Shop</title>" in html


@pytest.mark.parametrize("path", ["jobs/99", "jobs/x", "nowhere", "jobs/", "do/nothing", "live/nowhere"])
async def test_an_unknown_page_links_back(path: str) -> None:
    async with browser_of(build_site(sample_data())) as browser:
        answer = await browser.get(f"/hangfire/{path}")
    assert answer.status_code in {404, 405}
    assert "Back to overview" in answer.text
    assert answer.headers["content-security-policy"]


async def test_during_a_database_outage_the_page_has_no_counts() -> None:
    data = sample_data()
    data.error = psycopg.OperationalError("secret host name")
    async with browser_of(build_site(data)) as browser:
        answer = await browser.get("/hangfire/")
    assert answer.status_code == 503
    assert "database is unavailable" in answer.text
    assert "secret host name" not in answer.text


async def test_an_unexpected_error_page_reveals_nothing(caplog: pytest.LogCaptureFixture) -> None:
    data = sample_data()
    data.error = RuntimeError("secret detail")
    async with browser_of(build_site(data)) as browser:
        answer = await browser.get("/hangfire/")
    assert answer.status_code == 500
    assert "secret detail" not in answer.text
    assert "secret detail" in caplog.text


async def test_data_is_escaped() -> None:
    data = sample_data()
    data.jobs[0].task = '<script>alert("x")</script>'
    data.jobs[0].traceback = "</pre><img src=x>"
    async with browser_of(build_site(data)) as browser:
        for page in ("jobs", "jobs/1", 'jobs?text="><script>'):
            html = (await browser.get(f"/hangfire/{page}")).text
            assert "<script>" not in html
            assert "<img src=x>" not in html


async def test_an_empty_overview_says_so() -> None:
    async with browser_of(build_site(SiteData())) as browser:
        html = (await browser.get("/hangfire/")).text
    assert "Nothing to show" in html
    assert MASK not in html


async def test_the_theme_is_stored_in_a_cookie_without_javascript() -> None:
    async with browser_of(build_site(sample_data())) as browser:
        page = (await browser.get("/hangfire/jobs/1")).text
        assert 'data-theme="auto"' in page
        token = re.search(r'name="csrf" value="([^"]+)"', page)
        assert token is not None
        form = {"csrf": token[1], "theme": "dark", "back": "jobs/1"}
        answer = await browser.post("/hangfire/theme", data=form)
        assert (answer.status_code, answer.headers["location"]) == (303, "./jobs/1")
        assert 'data-theme="dark"' in (await browser.get("/hangfire/jobs/1")).text
