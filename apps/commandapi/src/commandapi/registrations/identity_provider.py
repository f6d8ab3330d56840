"""Sign-in of people in a browser with the issuer (OpenID Connect Core 1.0 §3.1), for the dashboard."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

import httpx

from bulkport.dashboard.access.sign_in import Flow, SignInFailed
from commandapi.registrations.errors import InvalidToken, IssuerUnavailable
from commandapi.registrations.issuer import OidcIssuer
from commandapi.registrations.tokens import TokenVerifier

_MAX_ANSWER_BYTES: Final = 2**20


class OidcIdentityProvider:
    """The issuer as the dashboard's sign-in service.

    Parameters
    ----------
    client_id:
        What the issuer knows the dashboard by; its ID tokens must be for it.
    client_secret:
        None: a public client, which PKCE alone protects.
    scope:
        The requested scopes, including `openid`.
    """

    def __init__(self, issuer: OidcIssuer, *, client_id: str, client_secret: str | None, scope: str) -> None:
        self._issuer = issuer
        self._client_id = client_id
        self._client_secret = client_secret
        self._scope = scope
        self._verifier = TokenVerifier(issuer, client_id)

    async def authorization_url(self, flow: Flow) -> str:
        """Where the browser is sent to sign in (§3.1.2.1; RFC 7636 §4.3).

        Raises
        ------
        IssuerUnavailable
            If the issuer cannot be asked for its addresses.
        """
        endpoint = await self._issuer.endpoint("authorization_endpoint")
        query = urlencode(
            {
                "response_type": "code",
                "client_id": self._client_id,
                "redirect_uri": flow.redirect_uri,
                "scope": self._scope,
                "state": flow.state,
                "nonce": flow.nonce,
                "code_challenge": flow.code_challenge,
                "code_challenge_method": "S256",
            }
        )
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{query}"

    async def claims(self, flow: Flow, code: str) -> Mapping[str, Any]:
        """Redeem the code and verify the ID token (§3.1.3).

        Raises
        ------
        SignInFailed
            If the code is refused, or the token is not one for this sign-in.
        IssuerUnavailable
            If the issuer is away.
        """
        token = await self._redeem(flow, code)
        try:
            claims = await self._verifier.claims(token)
        except InvalidToken as error:
            raise SignInFailed(f"the ID token is refused: {error.detail}") from error
        if claims.get("nonce") != flow.nonce:
            raise SignInFailed("the ID token is of another sign-in")
        audiences = claims.get("aud")
        if isinstance(audiences, list) and len(audiences) > 1 and "azp" not in claims:
            raise SignInFailed("the ID token is for several audiences and does not say who asked for it")
        if claims.get("azp", self._client_id) != self._client_id:
            raise SignInFailed("the ID token was issued to another client")
        return claims

    async def _redeem(self, flow: Flow, code: str) -> str:
        endpoint = await self._issuer.endpoint("token_endpoint")
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": flow.redirect_uri,
            "code_verifier": flow.code_verifier,
        }
        # The default is Basic (OpenID Connect Discovery 1.0 §3).
        methods = await self._issuer.supports("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        auth: Any = httpx.USE_CLIENT_DEFAULT
        if self._client_secret is not None and "client_secret_basic" in methods:
            # RFC 6749 §2.3.1: both are form-encoded before they are joined.
            auth = httpx.BasicAuth(_form_encoded(self._client_id), _form_encoded(self._client_secret))
        else:
            form["client_id"] = self._client_id
            if self._client_secret is not None:
                form["client_secret"] = self._client_secret
        try:
            async with self._issuer.client() as client:
                answer = await client.post(endpoint, data=form, auth=auth, headers={"Accept": "application/json"})
        except httpx.HTTPError as error:
            raise IssuerUnavailable from error
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise IssuerUnavailable
        if answer.status_code != httpx.codes.OK or len(answer.content) > _MAX_ANSWER_BYTES:
            raise SignInFailed(f"the token endpoint answered {answer.status_code}: {answer.text[:200]}")
        return _id_token_in(answer)


def _form_encoded(text: str) -> str:
    return urlencode({"": text})[1:]


def _id_token_in(answer: httpx.Response) -> str:
    try:
        content = answer.json()
    except (ValueError, RecursionError):
        content = None
    token = content.get("id_token") if isinstance(content, dict) else None
    if not isinstance(token, str):
        raise SignInFailed("the token endpoint's answer has no ID token")
    return token
