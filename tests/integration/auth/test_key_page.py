"""The page where a signed-in user makes, names, rotates and revokes their own API keys."""

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from html import unescape
from pathlib import Path

import httpx
import psycopg
import pytest
from auth_clients import OpenClient
from provider_process import Provider, run_provider

from bulkport.dashboard.translations import german as translations
from commandapi.key_page import page
from commandapi.key_page.texts import GERMAN, SPANISH

PAGE = "/keys/"


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with run_provider() as provider:
        yield provider


@pytest.fixture
async def browser(open_client: OpenClient, provider: Provider) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(
        oidc_issuer=provider.url, dashboard_oidc_client_id="page", dashboard_oidc_client_secret="any", max_api_keys=3
    ) as client:
        yield client


async def _sign_in(browser: httpx.AsyncClient, user: str) -> None:
    refused = await browser.get(PAGE)
    assert refused.status_code == 303
    begun = await browser.get(str(refused.url.join(refused.headers["location"])))
    async with httpx.AsyncClient(trust_env=False) as at_provider:
        back = await at_provider.post(begun.headers["location"], data={"sub": user})
    done = await browser.get(back.headers["location"])
    assert (done.status_code, done.headers["location"]) == (303, "../")


async def _token(browser: httpx.AsyncClient) -> str:
    page = await browser.get(PAGE)
    assert page.status_code == 200
    return page.text.split('name="csrf" value="')[1].split('"')[0]


async def _make(browser: httpx.AsyncClient, **fields: object) -> httpx.Response:
    form = {"csrf": await _token(browser), "scope": ["read", "import"], **fields}
    return await browser.post(f"{PAGE}make", data=form)


def _key_in(page: httpx.Response) -> str:
    found = re.search(r"[0-9a-f]{8}-[0-9a-f-]{27}[A-Za-z0-9_-]{43}", page.text)
    assert found is not None, page.text
    return found[0]


async def test_a_user_creates_names_and_revokes_a_key(browser: httpx.AsyncClient, database_url: str) -> None:
    await _sign_in(browser, "ann")
    made = await _make(browser, description="the <laptop>", days="30")
    assert made.status_code == 200
    assert made.headers["cache-control"] == "no-store"
    key = _key_in(made)
    assert (await browser.get("/api/platforms", headers={"x-api-key": key})).status_code == 200
    refused = await browser.post("/api/platforms", json={"platformName": "a"}, headers={"x-api-key": key})
    assert refused.status_code == 403
    page = (await browser.get(PAGE)).text
    assert "the &lt;laptop&gt;" in page
    assert key not in page
    form = {"csrf": await _token(browser), "id": "1", "back": ""}
    asked = await browser.post(f"{PAGE}do/keys/revoke", data=form)
    assert "Revoke this key?" in asked.text
    await browser.post(f"{PAGE}do/keys/revoke", data=form | {"confirmed": "yes"})
    assert (await browser.get("/api/platforms", headers={"x-api-key": key})).status_code == 401
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        audit = await (
            await connection.execute("SELECT actor, action, target, outcome FROM bulkport.audit ORDER BY id")
        ).fetchall()
    assert [entry[:3] for entry in audit] == [
        ("oidc|ann", "keys/make", "key 1"),
        ("oidc|ann", "keys/revoke", "key 1"),
    ]
    assert key[36:] not in str(audit)


async def test_a_form_submitted_twice_creates_one_key(browser: httpx.AsyncClient) -> None:
    await _sign_in(browser, "ann")
    form = {"csrf": await _token(browser), "scope": "read", "description": "nightly run"}
    answers = [await browser.post(f"{PAGE}make", data=form) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 303]
    assert (await browser.get(PAGE)).text.count("nightly run") == 1


async def test_after_rotation_both_keys_work_for_a_while(browser: httpx.AsyncClient) -> None:
    await _sign_in(browser, "ann")
    old = _key_in(await _make(browser, description="mine"))
    rotated = await browser.post(f"{PAGE}rotate", data={"csrf": await _token(browser), "id": "1"})
    for key in (old, _key_in(rotated)):
        assert (await browser.get("/api/imports", headers={"x-api-key": key})).status_code == 200


async def test_errors_are_shown_on_the_page(browser: httpx.AsyncClient) -> None:
    await _sign_in(browser, "ann")
    for fields, status, words in (
        ({"scope": []}, 400, "Choose what the key may do"),
        ({"scope": "admin"}, 400, "Choose what the key may do"),
        ({"days": "0"}, 400, "1 to 3,650 days"),
        ({"days": "x"}, 400, "1 to 3,650 days"),
        ({"days": "000000001999999999"}, 400, "1 to 3,650 days"),
    ):
        answer = await _make(browser, **fields)
        assert (answer.status_code, words in answer.text) == (status, True), fields
    refused = (await _make(browser, description='the "laptop"', days="4000", scope="write")).text
    for kept in ('value="the &#34;laptop&#34;"', 'value="4000"', 'value="write" form="make" checked'):
        assert kept in refused
    assert 'value="read" form="make" checked' not in refused
    for _ in range(3):
        assert (await _make(browser)).status_code == 200
    assert "the limit of active API keys" in (await _make(browser)).text


@pytest.mark.parametrize(("language", "texts"), [("de", GERMAN), ("es", SPANISH)])
async def test_the_page_supports_the_languages_of_the_dashboard(
    browser: httpx.AsyncClient, language: str, texts: Mapping[str, str]
) -> None:
    await _sign_in(browser, "ann")
    browser.headers["accept-language"] = language
    empty = (await browser.get(PAGE)).text
    made = (await _make(browser)).text
    refused = (await _make(browser, scope=[])).text
    await browser.post(f"{PAGE}do/keys/revoke", data={"csrf": await _token(browser), "id": "1", "confirmed": "yes"})
    shown = unescape(empty + made + refused + (await browser.get(PAGE)).text)
    for english in (
        "No keys yet",
        "Your new key",
        "without a name",
        "Last used",
        "revoked",
        "Rotate",
        "add and change single records",
        "Days until it expires",
        "Choose what the key may do.",
        "The key is revoked.",
    ):
        assert texts[english] in shown
        assert f">{english}<" not in shown


def test_every_text_of_the_key_page_is_translated() -> None:
    folder = Path(page.__file__).parent
    sources = (folder / "keys.html").read_text(encoding="utf-8") + Path(page.__file__).read_text(encoding="utf-8")
    texts = {*re.findall(r'\bt\(\s*"([^"]+)"', sources), *page._MEANINGS.values(), *(c.label for c in page._COLUMNS)}
    assert len(texts) > 25
    assert texts - {""} <= GERMAN.keys() | translations.GERMAN.keys()
    for german, spanish in zip(GERMAN.items(), SPANISH.items(), strict=True):
        fields = [sorted(re.findall(r"{\w+}", text)) for text in (*german, *spanish)]
        assert fields.count(fields[0]) == len(fields)


async def test_forms_need_their_own_token_and_other_users_keys_are_out_of_reach(
    browser: httpx.AsyncClient, database_url: str
) -> None:
    await _sign_in(browser, "ann")
    key = _key_in(await _make(browser))
    for path in ("make", "rotate", "do/keys/revoke"):
        for form in ({"scope": "read", "id": "1"}, {"scope": "read", "id": "1", "csrf": "x"}):
            assert (await browser.post(f"{PAGE}{path}", data=form)).status_code == 403
    crossed = await browser.post(
        f"{PAGE}make",
        data={"csrf": await _token(browser), "scope": "read"},
        headers={"origin": "https://elsewhere.example"},
    )
    assert crossed.status_code == 403
    browser.cookies.clear()
    assert (await browser.post(f"{PAGE}make", data={"scope": "read"})).status_code == 401
    await _sign_in(browser, "bob")
    assert key[:8] not in (await browser.get(PAGE)).text
    form = {"csrf": await _token(browser), "id": "1", "confirmed": "yes"}
    await browser.post(f"{PAGE}do/keys/revoke", data=form)
    assert (await browser.post(f"{PAGE}rotate", data=form)).status_code == 409
    assert (await browser.get("/api/platforms", headers={"x-api-key": key})).status_code == 200


async def test_signing_in_for_keys_does_not_open_the_dashboard(browser: httpx.AsyncClient) -> None:
    await _sign_in(browser, "ann")
    assert (await browser.get("/hangfire/")).status_code == 303
    session = next(value for name, value in browser.cookies.items() if name == "bulkport_keys_session")
    browser.cookies.set("bulkport_session", session, domain="api.example")
    assert (await browser.get("/hangfire/")).status_code == 303


async def test_without_sign_in_there_is_no_key_page(open_client: OpenClient) -> None:
    async with open_client() as client:
        assert (await client.get(PAGE)).status_code == 404
