"""Verifies Bearer tokens: issuer, audience and validity (RFC 7519 §7.2, RFC 8725, RFC 9068 §4)."""

import json
from typing import Any, Final

from joserfc import jws
from joserfc.errors import ExpiredTokenError, InvalidClaimError, JoseError, MissingClaimError, UnsupportedAlgorithmError
from joserfc.jws import CompactSignature, JWSRegistry
from joserfc.jwt import JWTClaimsRegistry

from bulkport.identifiers import UserId
from commandapi.auth.keys import is_user_id
from commandapi.registrations.errors import InvalidToken
from commandapi.registrations.issuer import OidcIssuer, PublicKey, SigningKeys

ALGORITHMS: Final = frozenset(
    {
        *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"),
        *("EdDSA", "Ed25519", "Ed448"),  # the first is what RFC 9864 calls by the other two
    }
)
"""Signatures that are accepted: only asymmetric ones, so that a public key is never taken as a shared secret."""

CLOCK_LEEWAY_SECONDS: Final = 30
"""How far the issuer's clock and ours may differ."""

MAX_TOKEN_CHARACTERS: Final = 16_384

_TOKEN_TYPES: Final = frozenset({"jwt", "at+jwt"})


class _Registry(JWSRegistry):
    max_header_length = MAX_TOKEN_CHARACTERS

    def get_alg(self, name: str) -> Any:
        # joserfc's own warns about EdDSA, a name that issuers use.
        if name not in ALGORITHMS:
            raise UnsupportedAlgorithmError
        return self.algorithms[name]


_REGISTRY: Final = _Registry(algorithms=ALGORITHMS, strict_check_header=False)


class TokenVerifier:
    """Verifies tokens of one issuer for one audience.

    Parameters
    ----------
    issuer:
        Who must have signed a token.
    audience:
        What must be, or be among, a token's `aud`.
    """

    def __init__(self, issuer: OidcIssuer, audience: str) -> None:
        self._issuer = issuer
        self._audience = audience

    async def verify(self, token: str) -> UserId:
        """The user a token is about: its `sub`. Raises as `claims`."""
        return UserId((await self.claims(token))["sub"])

    async def claims(self, token: str) -> dict[str, Any]:
        """All claims of a token; its `sub` can be a user id.

        Raises
        ------
        InvalidToken
            If the token is malformed, signed by someone else or with an algorithm that is not in `ALGORITHMS`, meant
            for someone else, expired, or not valid yet.
        IssuerUnavailable
            If the issuer's keys are needed and cannot be had.
        """
        signed = _parse(token)
        key_id = signed.headers().get("kid")
        keys = await self._issuer.signing_keys()
        if not _is_signed_by_one_of(keys.candidates(key_id), signed):
            if key_id is not None and keys.candidates(key_id):
                raise InvalidToken("The signature of the token is wrong.")
            # An unknown key may be newer than the cache.
            keys = await self._issuer.newer_keys(keys)
            if not _is_signed_by_one_of(keys.candidates(key_id), signed):
                raise InvalidToken("The token is not signed with a key of the sign-in service.")
        return self._valid_claims(signed.payload, keys)

    def _valid_claims(self, payload: bytes, keys: SigningKeys) -> dict[str, Any]:
        try:
            claims = json.loads(payload)
        except (ValueError, RecursionError):
            claims = None
        if not isinstance(claims, dict):
            raise InvalidToken("The token carries no claims.")
        required = JWTClaimsRegistry(
            leeway=CLOCK_LEEWAY_SECONDS,
            iss={"essential": True, "value": keys.issuer},
            aud={"essential": True, "value": self._audience},
            exp={"essential": True},
            sub={"essential": True},
        )
        try:
            required.validate(claims)
        except ExpiredTokenError:
            raise InvalidToken("The token has expired.") from None
        except MissingClaimError:
            raise InvalidToken("The token must have the claims iss, aud, exp and sub.") from None
        except InvalidClaimError as error:
            raise InvalidToken(_WRONG_CLAIM.get(error.claim, "A claim of the token is malformed.")) from None
        if not is_user_id(claims["sub"]):
            raise InvalidToken("The sub of the token cannot be a user id.")
        return claims


_WRONG_CLAIM: Final = {
    "iss": "The token is of another issuer.",
    "aud": "The token is for another audience.",
    "nbf": "The token is not valid yet.",
    "iat": "The token was issued in the future.",
}


def _parse(token: str) -> CompactSignature:
    """The parts of a token, with a header that can be judged; nothing is verified yet."""
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise InvalidToken("The token is too long.")
    if not token.isascii():
        raise InvalidToken("The token is not a signed JWT.")
    try:
        signed = jws.extract_compact(token.encode("ascii"), registry=_REGISTRY)
        header = signed.headers()
        _REGISTRY.check_header(header)
    except (JoseError, RecursionError, ValueError, TypeError):
        # joserfc takes for granted that the header is a JSON object, and not a deep one.
        raise InvalidToken("The token is not a signed JWT.") from None
    if header["alg"] not in ALGORITHMS:
        raise InvalidToken("The algorithm of the token is not accepted.")
    if "b64" in header:
        raise InvalidToken("The payload of the token must be base64url.")  # RFC 7797 §7
    if header.get("typ", "jwt").lower().removeprefix("application/") not in _TOKEN_TYPES:
        raise InvalidToken("The token is of another type.")  # RFC 8725 §3.11
    return signed


def _is_signed_by_one_of(keys: list[PublicKey], signed: CompactSignature) -> bool:
    return any(_is_signed_by(key, signed) for key in keys)


def _is_signed_by(key: PublicKey, signed: CompactSignature) -> bool:
    try:
        return jws.validate_compact(signed, key, registry=_REGISTRY)
    except JoseError:  # the key is of another type or curve, or for another algorithm
        return False
