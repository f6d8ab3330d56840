"""Registrations by users who signed in at oidc-provider-mock, a real provider process."""

from auth_clients import OpenClient
from provider_process import run_provider

ROUTE = "/api/registrations"
CLIENT_ID = "command-api"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_signed_in_users_get_their_own_keys(open_client: OpenClient) -> None:
    with run_provider() as provider:
        ann, bob = provider.sign_in("ann", CLIENT_ID), provider.sign_in("bob", CLIENT_ID)
        foreign = provider.sign_in("eve", "another-application")
        async with open_client(oidc_issuer=provider.url, oidc_audience=CLIENT_ID) as client:
            made = await client.post(ROUTE, headers=bearer(ann), json={"description": "laptop"})
            assert made.status_code == 201
            key = {"x-api-key": made.json()["apiKey"]}
            assert (await client.get("/api/platforms", headers=key)).status_code == 200

            assert len((await client.get(ROUTE, headers=bearer(ann))).json()["items"]) == 1
            assert (await client.get(ROUTE, headers=bearer(bob))).json()["items"] == []
            address = made.headers["location"]
            assert (await client.delete(address, headers=bearer(bob))).status_code == 404
            assert (await client.delete(address, headers=bearer(ann))).status_code == 204
            assert (await client.get("/api/platforms", headers=key)).status_code == 401

            refused = await client.post(ROUTE, headers=bearer(foreign))
            assert refused.status_code == 401
            assert "audience" in refused.json()["detail"]


async def test_a_provider_that_restarts_with_a_new_key_is_trusted_again(open_client: OpenClient) -> None:
    with run_provider() as provider:
        before = provider.sign_in("ann", CLIENT_ID)
        opened = open_client(oidc_issuer=provider.url, oidc_audience=CLIENT_ID, oidc_refresh_seconds=0)
        client = await opened.__aenter__()
        assert (await client.get(ROUTE, headers=bearer(before))).status_code == 200
    try:
        # Its keys are known, so it need not be there.
        assert (await client.get(ROUTE, headers=bearer(before))).status_code == 200
        with run_provider(int(provider.url.rsplit(":", 1)[1])) as restarted:
            after = restarted.sign_in("ann", CLIENT_ID)
            assert (await client.get(ROUTE, headers=bearer(after))).status_code == 200
            refused = await client.get(ROUTE, headers=bearer(before))
            assert refused.status_code == 401
    finally:
        await opened.__aexit__(None, None, None)
