"""The dependency that the registration routes authenticate with."""

from typing import TYPE_CHECKING, Annotated, Final

from fastapi import FastAPI, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import Request

from bulkport.errors import NotConfigured
from bulkport.identifiers import UserId
from commandapi.auth.key_admission import KeyAdmission
from commandapi.auth.keys import subject_user
from commandapi.registrations.errors import TokenRequired
from commandapi.settings import Settings

if TYPE_CHECKING:
    from commandapi.registrations.issuer import OidcIssuer
    from commandapi.registrations.tokens import TokenVerifier

_scheme: Final = HTTPBearer(
    scheme_name="SignIn",
    bearerFormat="JWT",
    description="A JWT of the configured OpenID Connect issuer.",
    auto_error=False,
)


async def signed_in_user(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_scheme)]
) -> UserId:
    """The user of the token in `Authorization: Bearer …` (RFC 6750 §2.1).

    Raises
    ------
    NotConfigured
        If the server has no issuer.
    TokenRequired, InvalidToken
        If there is no Bearer token, or it is not valid.
    IssuerUnavailable
        If the issuer's keys are needed and cannot be had.
    """
    if credentials is None:
        raise TokenRequired
    verifier = _verifier(request.app)
    user_id = subject_user(await verifier.verify(credentials.credentials))
    request.state.actor = user_id
    admission: KeyAdmission = request.app.state.key_admission
    admission.leave(request.scope)
    return user_id


def _verifier(app: FastAPI) -> "TokenVerifier":
    """The application's token verifier with the issuer's keys; created on first use."""
    verifier: TokenVerifier | None = getattr(app.state, "token_verifier", None)
    if verifier is None:
        app.state.token_verifier = verifier = _make_verifier(app.state.settings)
    return verifier


def _make_verifier(settings: Settings) -> "TokenVerifier":
    if settings.oidc_issuer is None or settings.oidc_audience is None:
        unset = [
            name
            for name, value in (
                ("COMMANDAPI_OIDC_ISSUER", settings.oidc_issuer),
                ("COMMANDAPI_OIDC_AUDIENCE", settings.oidc_audience),
            )
            if value is None
        ]
        raise NotConfigured(
            f"Registration needs a sign-in service: set {' and '.join(unset)}. "
            "Without one, the operator makes API keys with `commandapi keys create --user USER_ID`."
        )
    from commandapi.registrations.tokens import TokenVerifier  # noqa: PLC0415  # 15 MiB that few servers need

    return TokenVerifier(make_issuer(settings, settings.oidc_issuer), settings.oidc_audience)


def make_issuer(settings: Settings, url: str) -> "OidcIssuer":
    """The issuer at `url`, with the polling and timeouts of the settings."""
    from commandapi.registrations.issuer import OidcIssuer  # noqa: PLC0415  # as above

    return OidcIssuer(
        url,
        cache_seconds=settings.oidc_cache_seconds,
        refresh_seconds=settings.oidc_refresh_seconds,
        timeout_seconds=settings.oidc_timeout_seconds,
    )
