"""Health checks, metrics, the API's description and its docs page."""

import asyncio
import re

import httpx
import psycopg
import pytest
import schemathesis
from fastapi import FastAPI

from application_client import assert_problem, client_of, open_application
from commandapi.settings import Environment
from import_steps import running_worker


async def test_health_and_metrics_need_no_key(stranger: httpx.AsyncClient) -> None:
    live, ready = [await stranger.get(path) for path in ("/health/live", "/health/ready")]
    assert (live.status_code, live.json()) == (200, {"status": "ok"})
    checks = {"database": "ok", "migrations": "ok", "workers": "none", "disk": "ok"}
    assert (ready.status_code, ready.json()) == (200, {"status": "ok", "checks": checks})
    assert (await stranger.get("/metrics")).status_code == 200


async def test_a_server_with_another_migration_is_alive_but_not_ready(
    stranger: httpx.AsyncClient, database_url: str
) -> None:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute("UPDATE alembic_version SET version_num = '0001'")
        problem = assert_problem(await stranger.get("/health/ready"), 503)
        assert "0001" in problem["detail"]
        assert "commandapi db upgrade" in problem["detail"]
        await connection.execute("DROP TABLE alembic_version")
        assert "none" in assert_problem(await stranger.get("/health/ready"), 503)["detail"]
    assert (await stranger.get("/health/live")).status_code == 200


async def test_readiness_reports_workers_disk_and_newer_migrations(database_url: str) -> None:
    async with (
        open_application(database_url, disk_watermark_bytes=2**62) as app,
        client_of(app) as stranger,
        running_worker(app.state.bulkport, database_url),
        await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection,
    ):
        await connection.execute("UPDATE alembic_version SET version_num = '9999'")
        async with asyncio.timeout(60):
            while (ready := await stranger.get("/health/ready")).json()["checks"]["workers"] != "ok":
                await asyncio.sleep(0.02)
        assert ready.json()["checks"] == {"database": "ok", "migrations": "newer", "workers": "ok", "disk": "low"}


async def test_a_server_without_a_database_is_alive_but_not_ready(unreachable_url: str) -> None:
    async with open_application(unreachable_url) as app, client_of(app) as stranger:
        app.state.pool.timeout = 0.2
        assert (await stranger.get("/health/live")).status_code == 200
        assert_problem(await stranger.get("/health/ready"), 503)


async def test_metrics_are_labelled_by_route_not_by_path(client: httpx.AsyncClient) -> None:
    for path in ("/api/platforms/1", "/api/platforms/2", "/api/strange", "/api/stranger"):
        await client.get(path)
    await client.request("ODD", "/api/platforms")
    text = (await client.get("/metrics")).text
    assert 'http_requests_total{method="GET",route="/api/platforms/{platform_id}",status="404"} 2.0' in text
    assert 'http_requests_total{method="GET",route="none",status="404"} 2.0' in text
    assert 'method="other"' in text
    assert "strange" not in text
    assert 'http_request_duration_seconds_count{method="GET",route="/api/platforms/{platform_id}"} 2.0' in text


async def test_metrics_report_pool_usage(client: httpx.AsyncClient) -> None:
    await client.get("/api/platforms")
    text = (await client.get("/metrics")).text
    assert 'commandapi_pool_connections_most{pool="api"} 10.0' in text
    assert 'commandapi_pool_connections_most{pool="keys"} 6.0' in text
    assert re.search(r'commandapi_pool_connections\{pool="api"\} [1-9]', text)
    assert 'commandapi_pool_waiting{pool="api"} 0.0' in text
    assert re.search(r'commandapi_pool_connections_most\{pool="uploads"\} [1-9]', text)
    # What is used of limits, beside the limits.
    assert re.search(r"commandapi_disk_free_bytes \d", text)
    for limit in ("uploads", "connections", "disk_watermark_bytes"):
        assert f'commandapi_limit{{name="{limit}"}}' in text
    assert "commandapi_requests_limited 0.0" in text


async def test_durations_link_to_traces(client: httpx.AsyncClient) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    await client.get("/api/platforms", headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"})
    text = (await client.get("/metrics", headers={"accept": "application/openmetrics-text"})).text
    assert f'trace_id="{trace}"' in text


async def test_the_docs_page_loads_nothing_external(stranger: httpx.AsyncClient) -> None:
    assert (await stranger.get("/")).headers["location"] == "docs"
    page = await stranger.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "http" not in page.headers["content-security-policy"]
    addresses = re.findall(r'(?:href|src)="([^"]+)"', page.text)
    assert len(addresses) == 5
    for address in addresses:
        assert not re.match(r"(?i)https?:|//", address)
        if not address.startswith("data:"):
            answer = await stranger.get(f"/{address}")
            assert answer.status_code == 200
            assert answer.content
    start = (await stranger.get("/docs/start.js")).text
    assert 'url: "openapi.json"' in start
    assert "http" not in start


async def test_docs_are_served_in_development_or_when_enabled(database_url: str) -> None:
    for environment, enabled, status in (
        (Environment.PRODUCTION, None, 404),
        (Environment.PRODUCTION, True, 200),
        (Environment.DEVELOPMENT, None, 200),
        (Environment.DEVELOPMENT, False, 404),
    ):
        settings = {"environment": environment, "docs_enabled": enabled}
        async with open_application(database_url, **settings) as app, client_of(app) as stranger:
            for path in ("/openapi.json", "/docs", "/docs/start.js", "/docs/files/swagger-ui-bundle.js"):
                assert (await stranger.get(path)).status_code == status, (environment, enabled, path)
            assert (await stranger.get("/redoc")).status_code == 404
            assert (await stranger.get("/health/live")).status_code == 200


async def test_the_api_description_is_valid_openapi(stranger: httpx.AsyncClient) -> None:
    description = (await stranger.get("/openapi.json")).json()
    assert description["openapi"].startswith("3.1")
    schemathesis.openapi.from_dict(description).validate()


async def test_the_api_description_lists_every_problem(app: FastAPI, stranger: httpx.AsyncClient) -> None:
    description = (await stranger.get("/openapi.json")).json()
    assert description == (await stranger.get("/openapi.json")).json()
    assert "Bearer token" in description["info"]["description"]
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for path, item in description["paths"].items():
        for method, operation in item.items():
            responses = operation["responses"]
            # 422 is FastAPI's for parameters, which are 400 here; only a key that was used for another request is one.
            assert "422" not in responses or "Idempotency-Key" in responses["422"]["description"]
            # What a server supports is told to anybody (tus 1.0.0, "OPTIONS").
            if path.startswith("/api") and method != "options":
                assert {"401", "503"} <= responses.keys(), (method, path)
                assert operation["security"]
            if "requestBody" in operation:
                assert {"400", "413", "415"} <= responses.keys(), (method, path)
            for status, response in responses.items():
                assert status[0] in "2345"
                if status >= "400":
                    assert response["content"] == problem, (method, path, status)


@pytest.fixture
def unreachable_url(server_url: str) -> str:
    """A database that is not there."""
    return f"{server_url.partition('?')[0].rsplit('/', 1)[0]}/no_such_database?{server_url.partition('?')[2]}"
