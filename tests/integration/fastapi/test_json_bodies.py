"""What is refused of a body before anything looks at its fields."""

from collections.abc import AsyncIterator

import httpx
import psycopg
import pytest

from application_client import assert_problem

PLATFORMS = "/api/platforms"
JSON = {"Content-Type": "application/json"}

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def client(shared_clients: tuple[httpx.AsyncClient, httpx.AsyncClient], module_database_url: str) -> httpx.AsyncClient:
    with psycopg.connect(module_database_url) as connection:
        connection.execute("TRUNCATE platforms, commands")
    return shared_clients[0]


@pytest.fixture
def stranger(shared_clients: tuple[httpx.AsyncClient, httpx.AsyncClient]) -> httpx.AsyncClient:
    return shared_clients[1]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_an_unauthenticated_request_is_rejected_before_its_body_is_read(
    stranger: httpx.AsyncClient, method: str
) -> None:
    was_read = False

    async def body() -> AsyncIterator[bytes]:
        nonlocal was_read
        was_read = True
        yield b"not JSON"

    address = PLATFORMS if method == "POST" else f"{PLATFORMS}/1"
    answer = await stranger.request(method, address, content=body(), headers=JSON)
    assert_problem(answer, 401)
    assert not was_read


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/jsonp"},
        {"Content-Type": "nonsense"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/x-ndjson"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
async def test_other_content_types_are_unsupported(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    answer = await client.post(PLATFORMS, content=b'{"platformName":"Docker"}', headers=headers)
    assert_problem(answer, 415)


@pytest.mark.parametrize("content_type", ["application/json; charset=UTF-8", 'Application/JSON;charset="utf-8"'])
async def test_equivalent_json_media_types_are_accepted(client: httpx.AsyncClient, content_type: str) -> None:
    headers = {"Content-Type": content_type}
    answer = await client.post(PLATFORMS, content=b'{"platformName":"Docker"}', headers=headers)
    assert answer.status_code == 201


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"   ", id="blank"),
        pytest.param(b'{"platformName":', id="truncated"),
        pytest.param(b"{'platformName': 'x'}", id="single quotes"),
        pytest.param(b'{"platformName":"a"} x', id="trailing text"),
        pytest.param(b'{"platformName":"\xff\xfe"}', id="not UTF-8"),
        pytest.param(b'{"platformName":"\\ud800"}', id="lone surrogate"),
        pytest.param(b'{"platformName":"a\nb"}', id="raw line break in text"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b'{"platformName":NaN}', id="NaN"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="list"),
        pytest.param(b'"Docker"', id="text"),
        pytest.param(b"\x00", id="NUL"),
    ],
)
async def test_a_malformed_body_is_a_bad_request(client: httpx.AsyncClient, content: bytes) -> None:
    problem = assert_problem(await client.post(PLATFORMS, content=content, headers=JSON), 400)
    assert problem["detail"]
    assert (await client.get(PLATFORMS)).json()["totalCount"] == 0


@pytest.mark.parametrize("is_length_told", [True, False])
async def test_an_oversized_body_is_rejected(client: httpx.AsyncClient, is_length_told: bool) -> None:
    parts_read = 0

    async def parts() -> AsyncIterator[bytes]:
        nonlocal parts_read
        for _ in range(1000):
            parts_read += 1
            yield b" " * 65_536

    headers = JSON | ({"Content-Length": str(1000 * 65_536)} if is_length_told else {})
    answer = await client.post(PLATFORMS, content=parts(), headers=headers)
    assert_problem(answer, 413)
    assert parts_read <= (0 if is_length_told else 17)


@pytest.mark.parametrize("escape", [b"\\u0000", b"\\u0000 and more"])
async def test_a_nul_character_is_rejected_and_named(client: httpx.AsyncClient, escape: bytes) -> None:
    answer = await client.post(PLATFORMS, content=b'{"platformName":"a%sb"}' % escape, headers=JSON)
    assert list(assert_problem(answer, 400)["errors"]) == ["platformName"]


async def test_an_escaped_backslash_before_zeros_is_not_nul(client: httpx.AsyncClient) -> None:
    answer = await client.post(PLATFORMS, content=b'{"platformName":"a\\\\u0000b"}', headers=JSON)
    assert answer.status_code == 201
    assert answer.json()["platformName"] == "a\\u0000b"
