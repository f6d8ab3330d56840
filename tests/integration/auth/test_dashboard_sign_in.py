"""People sign in to the dashboard: with a real provider, and with one that cheats."""

import asyncio
import base64
import hashlib
import itertools
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from auth_clients import OpenClient
from issuer_server import IssuerServer
from provider_process import Provider, run_provider
from pydantic import ValidationError

from bulkport.dashboard.access import sign_in as access
from commandapi.auth import key_admission
from commandapi.settings import Environment, Settings

CLIENT_ID = "dashboard"
SECRET = "s" * 40


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with run_provider() as provider:
        yield provider


def settings(issuer: str, **changes: Any) -> dict[str, Any]:
    return {
        "oidc_issuer": issuer,
        "dashboard_oidc_client_id": CLIENT_ID,
        "dashboard_oidc_client_secret": "any",
        "dashboard_session_secret": SECRET,
        **changes,
    }


def give_roles(provider: Provider, user: str, claims: dict[str, Any]) -> None:
    httpx.put(f"{provider.url}/users/{user}", json={"email": user, **claims}, trust_env=False).raise_for_status()


async def at_provider(address: str, user: str) -> str:
    """Sign in on the provider's page; returns where it leads."""
    async with httpx.AsyncClient(trust_env=False) as browser:
        return (await browser.post(address, data={"sub": user})).headers["location"]


async def sign_in(client: httpx.AsyncClient, user: str, page: str = "/hangfire/") -> httpx.Response:
    """The whole way of a browser from a page of the dashboard to the answer after the sign-in."""
    refused = await client.get(page)
    assert refused.status_code == 303
    begun = await client.get(str(refused.url.join(refused.headers["location"])))
    assert begun.status_code == 303
    return await client.get(await at_provider(begun.headers["location"], user))


@pytest.mark.parametrize(
    ("claims", "role"),
    [({"roles": ["operator"]}, "operator"), ({"roles": "viewer other"}, "read-only")],
)
async def test_a_user_with_a_role_signs_in_and_returns_to_their_page(
    open_client: OpenClient, provider: Provider, claims: dict[str, Any], role: str
) -> None:
    give_roles(provider, "ann@example.org", claims)
    async with open_client(**settings(provider.url)) as client:
        done = await sign_in(client, "ann@example.org", "/hangfire/?period=week")
        assert (done.status_code, done.headers["location"]) == (303, "../?period=week")
        cookies = done.headers.get_list("set-cookie")
        session = next(cookie for cookie in cookies if cookie.startswith("bulkport_session="))
        assert "HttpOnly" in session
        assert "SameSite=lax" in session
        page = await client.get("/hangfire/")
        assert page.status_code == 200
        assert f"ann@example.org ({role})" in page.text
        assert "Sign out" in page.text


async def test_roles_may_be_nested_in_a_claim(open_client: OpenClient, provider: Provider) -> None:
    give_roles(provider, "kim", {"realm_access": {"roles": ["chief"]}})
    changes = {"dashboard_role_claim": "realm_access.roles", "dashboard_operator_role": "chief"}
    async with open_client(**settings(provider.url, **changes)) as client:
        await sign_in(client, "kim")
        assert "operator" in (await client.get("/hangfire/")).text


@pytest.mark.parametrize("claims", [{}, {"roles": []}, {"roles": ["other"]}, {"roles": {"operator": True}}])
async def test_a_user_without_a_role_is_not_admitted(
    open_client: OpenClient, provider: Provider, claims: dict[str, Any]
) -> None:
    give_roles(provider, "eve", claims)
    async with open_client(**settings(provider.url)) as client:
        done = await sign_in(client, "eve")
        assert done.status_code == 403
        assert "who has no role here" in done.text
        assert (await client.get("/hangfire/")).status_code == 303


async def test_signing_out_requires_the_form_token_and_ends_the_session(
    open_client: OpenClient, provider: Provider
) -> None:
    give_roles(provider, "ann", {"roles": ["operator"]})
    async with open_client(**settings(provider.url)) as client:
        await sign_in(client, "ann")
        page = (await client.get("/hangfire/")).text
        token = page.split('name="csrf" value="')[1].split('"')[0]
        assert (await client.post("/hangfire/sign-out", data={"csrf": "x"})).status_code == 403
        assert (await client.get("/hangfire/")).status_code == 200
        out = await client.post("/hangfire/sign-out", data={"csrf": token})
        assert (out.status_code, out.headers["location"]) == (303, "signed-out")
        assert "You have left" in (await client.get("/hangfire/signed-out")).text
        assert (await client.get("/hangfire/")).status_code == 303


async def test_a_forged_session_or_one_of_another_secret_is_rejected(
    open_client: OpenClient, provider: Provider
) -> None:
    give_roles(provider, "ann", {"roles": ["operator"]})
    async with open_client(**settings(provider.url)) as client:
        await sign_in(client, "ann")
        session = client.cookies["bulkport_session"]
    async with open_client(**settings(provider.url, dashboard_session_secret="t" * 40)) as client:
        for forged in (session, session[:-1], "x", ""):
            answer = await client.get("/hangfire/", headers={"cookie": f"bulkport_session={forged}"})
            assert answer.status_code == 303


async def test_streams_and_forms_without_a_session_are_not_redirected_to_the_provider(
    open_client: OpenClient, provider: Provider
) -> None:
    async with open_client(**settings(provider.url)) as client:
        stream = await client.get("/hangfire/live/", headers={"accept": "text/event-stream"})
        form = await client.post("/hangfire/do/anything")
    assert (stream.status_code, form.status_code) == (401, 401)


class CheatingIssuer:
    """The issuer of the tests as a full provider; a test chooses the response of its token endpoint."""

    def __init__(self, issuer: IssuerServer) -> None:
        self.issuer = issuer
        issuer.discovery |= {
            "authorization_endpoint": f"{issuer.url}authorize",
            "token_endpoint": f"{issuer.url}token",
        }

    @asynccontextmanager
    async def flow(
        self, open_client: OpenClient, **changes: Any
    ) -> AsyncIterator[tuple[httpx.AsyncClient, dict[str, str]]]:
        """A client that has begun to sign in, and the parameters it was redirected with."""
        async with open_client(**settings(self.issuer.url, **changes)) as client:
            begun = await client.get("/hangfire/sign-in")
            query = parse_qs(urlsplit(begun.headers["location"]).query)
            yield client, {name: values[0] for name, values in query.items()}


@pytest.fixture
def cheating(issuer: IssuerServer) -> CheatingIssuer:
    return CheatingIssuer(issuer)


async def test_the_authorization_request_has_state_nonce_and_pkce(
    open_client: OpenClient, cheating: CheatingIssuer
) -> None:
    async with cheating.flow(open_client) as (_, first), cheating.flow(open_client) as (_, second):
        assert first["response_type"] == "code"
        assert first["client_id"] == CLIENT_ID
        assert first["redirect_uri"] == "http://api.example/hangfire/sign-in/callback"
        assert first["code_challenge_method"] == "S256"
        assert len(base64.urlsafe_b64decode(first["code_challenge"] + "=")) == hashlib.sha256().digest_size
        for name in ("state", "nonce", "code_challenge"):
            assert len(first[name]) >= 43
            assert first[name] != second[name]


async def test_the_provider_redirects_to_the_public_address(open_client: OpenClient, cheating: CheatingIssuer) -> None:
    async with cheating.flow(open_client, dashboard_public_url="https://jobs.example/x/") as (_, sent):
        assert sent["redirect_uri"] == "https://jobs.example/x/sign-in/callback"


async def test_a_response_to_another_sign_in_is_rejected(open_client: OpenClient, cheating: CheatingIssuer) -> None:
    async with cheating.flow(open_client) as (client, _):
        answer = await client.get("/hangfire/sign-in/callback", params={"state": "other", "code": "c"})
        assert answer.status_code == 400
        assert "/token" not in cheating.issuer.requests


async def test_a_response_in_another_browser_is_rejected(open_client: OpenClient, cheating: CheatingIssuer) -> None:
    async with cheating.flow(open_client) as (client, sent):
        client.cookies.clear()
        answer = await client.get("/hangfire/sign-in/callback", params={"state": sent["state"], "code": "c"})
        assert answer.status_code == 400


@pytest.mark.parametrize(
    ("claims", "is_accepted"),
    [
        ({}, True),
        ({"aud": [CLIENT_ID, "other"], "azp": CLIENT_ID}, True),
        ({"nonce": "of another sign-in"}, False),
        ({"nonce": None}, False),
        ({"aud": "https://commands.example/api"}, False),
        ({"azp": "another client"}, False),
        ({"iss": "https://evil.example/"}, False),
        ({"exp": 1}, False),
    ],
    ids=str,
)
async def test_the_id_token_must_be_for_this_sign_in(
    open_client: OpenClient, cheating: CheatingIssuer, claims: dict[str, Any], is_accepted: bool
) -> None:
    async with cheating.flow(open_client) as (client, sent):
        good = {"aud": CLIENT_ID, "azp": None, "nonce": sent["nonce"], "roles": ["operator"]}
        token = cheating.issuer.token(**(good | claims))
        cheating.issuer.answers["/token"] = (200, json.dumps({"id_token": token}).encode())
        answer = await client.get("/hangfire/sign-in/callback", params={"state": sent["state"], "code": "c"})
        assert answer.status_code == (303 if is_accepted else 403)
        assert ("bulkport_session" in client.cookies) is is_accepted


@pytest.mark.parametrize(
    ("status", "body", "expected"), [(400, b"{}", 403), (200, b"[]", 403), (200, b"{}", 403), (502, b"", 503)]
)
async def test_a_code_that_cannot_be_redeemed_admits_nobody(
    open_client: OpenClient, cheating: CheatingIssuer, status: int, body: bytes, expected: int
) -> None:
    async with cheating.flow(open_client) as (client, sent):
        cheating.issuer.answers["/token"] = (status, body)
        answer = await client.get("/hangfire/sign-in/callback", params={"state": sent["state"], "code": "c"})
        assert answer.status_code == expected
        assert "bulkport_session" not in client.cookies


async def test_forged_codes_do_not_flood_the_provider(
    open_client: OpenClient, cheating: CheatingIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "_PATIENCE_SECONDS", 0.1)
    # The application alone would let no more than three requests of an address without a key in.
    monkeypatch.setattr(key_admission, "STRANGERS_AT_ONCE", 20)
    monkeypatch.setattr(key_admission, "_OF_ONE_ADDRESS", 20)
    held = threading.Event()
    async with cheating.flow(open_client) as (client, sent):
        cheating.issuer.before_answer = lambda: held.wait(60)
        params = {"state": sent["state"], "code": "made up"}
        try:
            asked = [asyncio.create_task(client.get("/hangfire/sign-in/callback", params=params)) for _ in range(20)]
            first = [await done for done in itertools.islice(asyncio.as_completed(asked), 12)]
            assert {answer.status_code for answer in first} == {429}
        finally:
            held.set()
        await asyncio.gather(*asked)
        assert cheating.issuer.requests.count("/token") == 8


async def test_a_provider_error_is_reported_without_quoting_it(
    open_client: OpenClient, cheating: CheatingIssuer
) -> None:
    async with cheating.flow(open_client) as (client, sent):
        params = {"state": sent["state"], "error": "access_denied", "error_description": "<b>call 555-0100</b>"}
        answer = await client.get("/hangfire/sign-in/callback", params=params)
    assert answer.status_code == 403
    assert "555" not in answer.text


async def test_an_unavailable_provider_is_reported(open_client: OpenClient) -> None:
    async with open_client(**settings("http://127.0.0.1:1/")) as client:
        answer = await client.get("/hangfire/sign-in")
    assert answer.status_code == 503
    assert "Try again" in answer.text


@pytest.mark.parametrize(
    ("environment", "changes", "message"),
    [
        (Environment.DEVELOPMENT, {"oidc_issuer": None}, "needs COMMANDAPI_OIDC_ISSUER"),
        (Environment.PRODUCTION, {"dashboard_session_secret": None}, "needs COMMANDAPI_DASHBOARD_SESSION_SECRET"),
        (Environment.DEVELOPMENT, {"dashboard_session_secret": "short"}, "32"),
    ],
)
def test_invalid_settings_are_rejected(environment: Environment, changes: dict[str, Any], message: str) -> None:
    good = settings("https://tenant.example/", database_url="postgresql://nowhere/none", environment=environment)
    Settings(**good)
    with pytest.raises(ValidationError, match=message):
        Settings(**(good | changes))
