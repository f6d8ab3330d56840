"""Methods and addresses beside the documented routes."""

import httpx
import pytest

from application_client import assert_problem, client_of, open_application

PLATFORMS = "/api/platforms"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def client(shared_clients: tuple[httpx.AsyncClient, httpx.AsyncClient]) -> httpx.AsyncClient:
    return shared_clients[0]


@pytest.fixture
def stranger(shared_clients: tuple[httpx.AsyncClient, httpx.AsyncClient]) -> httpx.AsyncClient:
    return shared_clients[1]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", PLATFORMS, "GET, HEAD, POST, OPTIONS"),
        ("PATCH", f"{PLATFORMS}/1", "GET, HEAD, PUT, DELETE, OPTIONS"),
        ("POST", "/health/live", "GET, HEAD, OPTIONS"),
        ("PROPFIND", "/api/commands", "GET, HEAD, POST, OPTIONS"),
    ],
)
async def test_a_wrong_method_gets_405_with_the_allowed_methods(
    client: httpx.AsyncClient, method: str, path: str, allowed: str
) -> None:
    answer = await client.request(method, path)
    problem = assert_problem(answer, 405)
    assert answer.headers["allow"] == allowed
    assert allowed in problem["detail"]


async def test_options_lists_the_methods(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.options(PLATFORMS)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["allow"] == "GET, HEAD, POST, OPTIONS"


async def test_only_pages_of_configured_origins_can_call_the_api(database_url: str) -> None:
    async with (
        open_application(database_url, cors_origins="https://shop.example/, https://b.example") as app,
        client_of(app, None) as page,
    ):
        asked = {"access-control-request-method": "PATCH", "access-control-request-headers": "x-api-key, tus-resumable"}
        preflight = await page.options("/api/uploads/1", headers={"origin": "https://shop.example", **asked})
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == "https://shop.example"
        refused = await page.get(PLATFORMS, headers={"origin": "https://b.example"})
        assert_problem(refused, 401)
        assert refused.headers["access-control-allow-origin"] == "https://b.example"
        exposed = refused.headers["access-control-expose-headers"]
        assert {"location", "retry-after", "upload-offset"} <= set(exposed.split(", "))
        for path, origin in ((PLATFORMS, "https://evil.example"), ("/hangfire", "https://shop.example")):
            answer = await page.get(path, headers={"origin": origin})
            assert "access-control-allow-origin" not in answer.headers, path


async def test_head_is_get_without_content(client: httpx.AsyncClient) -> None:
    got, headed = await client.get(PLATFORMS), await client.head(PLATFORMS)
    assert (headed.status_code, headed.content) == (200, b"")
    assert headed.headers["content-length"] == got.headers["content-length"]
    assert (await client.head(f"{PLATFORMS}/1")).status_code == 404


async def test_head_needs_a_key_like_get(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.head(PLATFORMS)
    assert (answer.status_code, answer.content) == (401, b"")


@pytest.mark.parametrize("path", ["/nowhere", "/api", "/api/", "/api/nothing", f"{PLATFORMS}/", "/api/platforms/1/x"])
async def test_an_unknown_address_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    assert_problem(await client.get(path), 404)


@pytest.mark.parametrize("path", ["/api", "/api/nothing", PLATFORMS, f"{PLATFORMS}/1"])
async def test_api_responses_are_never_cached(client: httpx.AsyncClient, path: str) -> None:
    for method in ("GET", "HEAD", "POST", "PATCH", "OPTIONS"):
        answer = await client.request(method, path)
        assert answer.headers.get_list("cache-control") == ["no-store"], (method, path, answer.status_code)
