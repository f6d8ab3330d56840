"""Which tokens are accepted, judged against an issuer over HTTP."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from issuer_server import AUDIENCE, IssuerServer, rsa_key
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from commandapi.registrations.errors import InvalidToken
from commandapi.registrations.issuer import OidcIssuer
from commandapi.registrations.tokens import TokenVerifier
from drawn_examples import examples

FIRST_KEY = rsa_key()
STRANGERS_KEY = rsa_key()


@pytest.fixture(scope="session")
def issuer_key() -> RSAKey:
    return FIRST_KEY


@pytest.fixture
def verifier(issuer: IssuerServer) -> TokenVerifier:
    return TokenVerifier(OidcIssuer(issuer.url), AUDIENCE)


def unpadded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def spell(header: Any, payload: Any) -> str:
    return f"{unpadded(json.dumps(header).encode())}.{unpadded(json.dumps(payload).encode())}"


async def refusal(verifier: TokenVerifier, token: str) -> str:
    with pytest.raises(InvalidToken) as refused:
        await verifier.verify(token)
    challenge = refused.value.headers()["WWW-Authenticate"]
    assert challenge == f'Bearer realm="api", error="invalid_token", error_description="{refused.value.detail}"'
    assert refused.value.detail.isascii()
    assert not {'"', "\\"} & set(refused.value.detail)
    return refused.value.detail


async def test_a_token_of_the_issuer_identifies_the_user(issuer: IssuerServer, verifier: TokenVerifier) -> None:
    assert await verifier.verify(issuer.token()) == "auth0|ann"


@pytest.mark.parametrize("configured", ["with slash", "without slash"])
@pytest.mark.parametrize("published", ["with slash", "without slash"])
async def test_a_trailing_slash_of_the_issuer_may_differ_only_in_the_setting(
    issuer: IssuerServer, configured: str, published: str
) -> None:
    bare = issuer.url.rstrip("/")
    issuer.discovery["issuer"] = issuer.url if published == "with slash" else bare
    verifier = TokenVerifier(OidcIssuer(issuer.url if configured == "with slash" else bare), AUDIENCE)
    assert await verifier.verify(issuer.token(iss=issuer.discovery["issuer"])) == "auth0|ann"
    other = bare if published == "with slash" else issuer.url
    assert "another issuer" in await refusal(verifier, issuer.token(iss=other))


async def test_a_single_audience_string_is_accepted(issuer: IssuerServer, verifier: TokenVerifier) -> None:
    assert await verifier.verify(issuer.token(aud=AUDIENCE)) == "auth0|ann"


@pytest.mark.parametrize(
    "audience", ["https://other.example", ["https://other.example"], [], "", AUDIENCE + "/", [AUDIENCE, 1], 7]
)
async def test_a_token_for_another_audience_is_rejected(
    issuer: IssuerServer, verifier: TokenVerifier, audience: Any
) -> None:
    assert "audience" in await refusal(verifier, issuer.token(aud=audience))


async def test_an_expired_token_is_rejected(issuer: IssuerServer, verifier: TokenVerifier) -> None:
    assert "expired" in await refusal(verifier, issuer.token(exp=int(time.time()) - 60))


async def test_a_token_that_is_not_valid_yet_is_rejected(issuer: IssuerServer, verifier: TokenVerifier) -> None:
    assert "not valid yet" in await refusal(verifier, issuer.token(nbf=int(time.time()) + 120))


async def test_a_token_issued_in_the_future_is_rejected(issuer: IssuerServer, verifier: TokenVerifier) -> None:
    assert "future" in await refusal(verifier, issuer.token(iat=int(time.time()) + 120))


async def test_a_small_clock_skew_is_tolerated(issuer: IssuerServer, verifier: TokenVerifier) -> None:
    now = int(time.time())
    assert await verifier.verify(issuer.token(exp=now - 5)) == "auth0|ann"
    assert await verifier.verify(issuer.token(nbf=now + 15, iat=now + 15)) == "auth0|ann"


async def test_a_token_of_another_issuer_is_rejected_even_with_a_known_key(
    issuer: IssuerServer, verifier: TokenVerifier
) -> None:
    assert "another issuer" in await refusal(verifier, issuer.token(iss="https://evil.example/"))


@pytest.mark.parametrize("claim", ["iss", "aud", "exp", "sub"])
async def test_a_token_without_a_required_claim_is_rejected(
    issuer: IssuerServer, verifier: TokenVerifier, claim: str
) -> None:
    assert "must have the claims" in await refusal(verifier, issuer.token(**{claim: None}))


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": "tomorrow"},
        {"exp": float("nan")},
        {"exp": float("inf")},
        {"exp": True},
        {"nbf": "yesterday"},
        {"sub": 7},
        {"sub": ""},
        {"sub": " "},
        {"sub": "a\0b"},
        {"sub": "\ud800"},
        {"sub": "a" * 256},
        {"sub": ["ann"]},
        {"iss": ["x"]},
    ],
    ids=str,
)
async def test_malformed_claims_are_rejected(
    issuer: IssuerServer, verifier: TokenVerifier, changes: dict[str, Any]
) -> None:
    header = {"alg": "RS256", "kid": "first"}
    signed = spell(header, issuer.claims(**changes))
    signature = unpadded(sign_rs256(FIRST_KEY, signed.encode()))
    await refusal(verifier, f"{signed}.{signature}")


def sign_rs256(key: RSAKey, message: bytes) -> bytes:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    private = key.private_key
    assert private is not None
    return private.sign(message, padding.PKCS1v15(), hashes.SHA256())


@pytest.mark.parametrize("payload", [b"", b"7", b"[]", b"null", b"{", b"\xff", b"[" * 10_000])
async def test_a_signed_payload_that_is_not_an_object_is_rejected(verifier: TokenVerifier, payload: bytes) -> None:
    signed = f"{unpadded(json.dumps({'alg': 'RS256', 'kid': 'first'}).encode())}.{unpadded(payload)}"
    signature = unpadded(sign_rs256(FIRST_KEY, signed.encode()))
    await refusal(verifier, f"{signed}.{signature}")


async def test_a_tampered_token_is_rejected(issuer: IssuerServer, verifier: TokenVerifier) -> None:
    header, _, signature = issuer.token().split(".")
    forged = unpadded(json.dumps(issuer.claims(sub="auth0|admin")).encode())
    assert "signature" in await refusal(verifier, f"{header}.{forged}.{signature}")


async def test_every_part_of_a_token_is_verified(issuer: IssuerServer, verifier: TokenVerifier) -> None:
    token = issuer.token()
    for place in range(0, len(token), 7):
        other = "A" if token[place] != "A" else "B"
        with pytest.raises(InvalidToken):
            await verifier.verify(token[:place] + other + token[place + 1 :])


async def test_a_token_with_a_known_key_id_but_a_foreign_signature_is_rejected(
    issuer: IssuerServer, verifier: TokenVerifier
) -> None:
    assert "signature" in await refusal(verifier, issuer.token(key=STRANGERS_KEY))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", ""])
@pytest.mark.parametrize("signature", ["", "AAAA"])
async def test_an_unsigned_token_is_rejected(
    issuer: IssuerServer, verifier: TokenVerifier, algorithm: str, signature: str
) -> None:
    for header in ({"alg": algorithm}, {"alg": algorithm, "kid": "first"}):
        await refusal(verifier, f"{spell(header, issuer.claims())}.{signature}")


@pytest.mark.parametrize("encoding", ["PEM", "PEM stripped", "DER", "JWK", "modulus"])
@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
async def test_a_public_key_is_never_used_as_a_shared_secret(
    issuer: IssuerServer, verifier: TokenVerifier, encoding: str, algorithm: str
) -> None:
    public = FIRST_KEY.as_dict(private=False)
    secret = {
        "PEM": FIRST_KEY.as_pem(private=False),
        "PEM stripped": FIRST_KEY.as_pem(private=False).strip(),
        "DER": FIRST_KEY.as_der(private=False),
        "JWK": json.dumps(public).encode(),
        "modulus": str(public["n"]).encode(),
    }[encoding]
    signed = spell({"alg": algorithm, "kid": "first"}, issuer.claims())
    digest = getattr(hashlib, "sha" + algorithm[2:])
    signature = unpadded(hmac.new(secret, signed.encode(), digest).digest())
    assert "algorithm" in await refusal(verifier, f"{signed}.{signature}")


async def test_a_symmetric_key_published_by_the_issuer_verifies_nothing(
    issuer: IssuerServer, verifier: TokenVerifier
) -> None:
    shared = OctKey.import_key("secret" * 8, {"kid": "shared"})
    issuer.answers["/keys"] = (
        200,
        json.dumps({"keys": [shared.as_dict(private=True), FIRST_KEY.as_dict(private=False)]}).encode(),
    )
    signed = spell({"alg": "HS256", "kid": "shared"}, issuer.claims())
    signature = unpadded(hmac.new(b"secret" * 8, signed.encode(), hashlib.sha256).digest())
    assert "algorithm" in await refusal(verifier, f"{signed}.{signature}")
    assert await verifier.verify(issuer.token()) == "auth0|ann"


ALGORITHM_KEYS = {
    "RS256": FIRST_KEY,
    "RS384": FIRST_KEY,
    "RS512": FIRST_KEY,
    "PS256": FIRST_KEY,
    "PS384": FIRST_KEY,
    "PS512": FIRST_KEY,
    "ES256": ECKey.generate_key("P-256", {"kid": "ec"}),
    "ES384": ECKey.generate_key("P-384", {"kid": "ec"}),
    "ES512": ECKey.generate_key("P-521", {"kid": "ec"}),
    "Ed25519": OKPKey.generate_key("Ed25519", {"kid": "ed"}),
    "Ed448": OKPKey.generate_key("Ed448", {"kid": "ed"}),
}


@pytest.mark.parametrize("algorithm", ALGORITHM_KEYS)
async def test_asymmetric_algorithms_are_accepted(
    issuer: IssuerServer, verifier: TokenVerifier, algorithm: str
) -> None:
    key = ALGORITHM_KEYS[algorithm]
    issuer.keys = [key]
    assert await verifier.verify(issuer.token(key=key, header={"alg": algorithm})) == "auth0|ann"


@pytest.mark.parametrize("curve", ["Ed25519", "Ed448"])
async def test_eddsa_under_its_old_name_is_accepted_without_a_warning(
    issuer: IssuerServer, verifier: TokenVerifier, curve: str
) -> None:
    key = ALGORITHM_KEYS[curve]
    assert isinstance(key, OKPKey)
    issuer.keys = [key]
    signed = spell({"alg": "EdDSA", "kid": "ed"}, issuer.claims())
    assert key.private_key is not None
    signature = key.private_key.sign(signed.encode())  # type: ignore[union-attr]  # an Ed key, not an X one
    assert await verifier.verify(f"{signed}.{unpadded(signature)}") == "auth0|ann"


async def test_the_algorithm_must_match_the_key(issuer: IssuerServer, verifier: TokenVerifier) -> None:
    issuer.keys = [FIRST_KEY, *[ALGORITHM_KEYS[name] for name in ("ES256", "Ed25519")]]
    for algorithm in ("RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA", "Ed25519", "Ed448"):
        for key_id in ("first", "ec", "ed"):
            signed = spell({"alg": algorithm, "kid": key_id}, issuer.claims())
            for length in (0, 64, 96, 114, 256):
                await refusal(verifier, f"{signed}.{unpadded(bytes(length))}")


async def test_a_key_restricted_to_another_algorithm_or_use_is_not_used(
    issuer: IssuerServer, verifier: TokenVerifier
) -> None:
    restricted = [rsa_key("other algorithm", alg="RS512"), rsa_key("encryption", use="enc")]
    issuer.keys = [FIRST_KEY, *restricted]
    for key in restricted:
        signed = spell({"alg": "RS256", "kid": key.kid}, issuer.claims())
        await refusal(verifier, f"{signed}.{unpadded(sign_rs256(key, signed.encode()))}")


async def test_a_small_rsa_key_is_not_used(issuer: IssuerServer, verifier: TokenVerifier) -> None:
    with pytest.warns(match="2048"):
        small = RSAKey.generate_key(1024, {"kid": "small"})
    issuer.keys = [FIRST_KEY, small]
    signed = spell({"alg": "RS256", "kid": "small"}, issuer.claims())
    await refusal(verifier, f"{signed}.{unpadded(sign_rs256(small, signed.encode()))}")


async def test_a_token_without_a_key_id_is_tried_with_every_key(issuer: IssuerServer, verifier: TokenVerifier) -> None:
    second = rsa_key("second")
    issuer.keys = [FIRST_KEY, ALGORITHM_KEYS["ES256"], second]
    assert await verifier.verify(issuer.token(key=second, header={"kid": None})) == "auth0|ann"
    assert "not signed" in await refusal(verifier, issuer.token(key=STRANGERS_KEY, header={"kid": None}))


async def test_keys_published_without_an_id_verify_tokens_without_one(
    issuer: IssuerServer, verifier: TokenVerifier
) -> None:
    anonymous = rsa_key(None)
    issuer.keys = [anonymous]
    assert await verifier.verify(issuer.token(header={"kid": None}, key=anonymous)) == "auth0|ann"


@pytest.mark.parametrize("kind", ["JWT", "jwt", "at+jwt", "application/at+jwt", None])
async def test_access_token_types_are_accepted(issuer: IssuerServer, verifier: TokenVerifier, kind: str | None) -> None:
    header = {"alg": "RS256", "kid": "first", **({"typ": kind} if kind else {})}
    signed = spell(header, issuer.claims())
    assert await verifier.verify(f"{signed}.{unpadded(sign_rs256(FIRST_KEY, signed.encode()))}") == "auth0|ann"


@pytest.mark.parametrize("kind", ["logout+jwt", "secevent+jwt", "dpop+jwt", ""])
async def test_tokens_for_other_uses_are_rejected(issuer: IssuerServer, verifier: TokenVerifier, kind: str) -> None:
    assert "type" in await refusal(verifier, issuer.token(header={"typ": kind}))


async def test_keys_embedded_in_a_token_are_not_used(issuer: IssuerServer, verifier: TokenVerifier) -> None:
    own = STRANGERS_KEY.as_dict(private=False)
    for key_id in ("first", "brought"):
        for extra in ({"jwk": own}, {"jku": f"{issuer.url}evil"}, {"x5u": f"{issuer.url}evil"}):
            signed = spell({"alg": "RS256", "kid": key_id, **extra}, issuer.claims())
            await refusal(verifier, f"{signed}.{unpadded(sign_rs256(STRANGERS_KEY, signed.encode()))}")
    assert "/evil" not in issuer.requests


@pytest.mark.parametrize(
    "extra",
    [{"crit": ["x"], "x": 1}, {"crit": ["x"]}, {"crit": ["b64"], "b64": False}, {"b64": True}, {"crit": "b64"}],
    ids=str,
)
async def test_critical_extensions_are_rejected(
    issuer: IssuerServer, verifier: TokenVerifier, extra: dict[str, Any]
) -> None:
    signed = spell({"alg": "RS256", "kid": "first", **extra}, issuer.claims())
    await refusal(verifier, f"{signed}.{unpadded(sign_rs256(FIRST_KEY, signed.encode()))}")


async def test_unknown_header_members_and_a_long_header_are_accepted(
    issuer: IssuerServer, verifier: TokenVerifier
) -> None:
    signed = spell({"alg": "RS256", "kid": "first", "nonce": "x" * 2000, "x5t": "abc"}, issuer.claims())
    assert await verifier.verify(f"{signed}.{unpadded(sign_rs256(FIRST_KEY, signed.encode()))}") == "auth0|ann"


HEADERS = [
    *(None, 7, "alg", ["alg"], [], {}, {"alg": None}, {"alg": 7}, {"alg": ["RS256"]}, {"alg": {}}),
    *({"alg": "RS256", "kid": kid} for kid in (None, 7, ["first"], {}, True)),
    *({"alg": "RS256", "typ": typ} for typ in (None, 7, ["JWT"], {})),
    *({"alg": "RS256", "crit": crit} for crit in (None, 7, [7], {}, [[]])),
    *({"alg": "RS256", "b64": b64} for b64 in (None, 7, "x")),
    *({"alg": "RS256", name: 7} for name in ("jwk", "jku", "x5u", "x5c", "x5t", "cty")),
]


@pytest.mark.parametrize("header", HEADERS, ids=str)
async def test_malformed_headers_are_rejected(issuer: IssuerServer, verifier: TokenVerifier, header: Any) -> None:
    await refusal(verifier, f"{spell(header, issuer.claims())}.AAAA")


@pytest.mark.parametrize(
    "token",
    [
        *("", ".", "..", "...", "a.b", "a.b.c", "a.b.c.d.e", "é.é.é", "\0", "Bearer", "\ud800", "*.*.*"),
        "x" * 1_000_000,
        ".".join(["e30"] * 1000),
        unpadded(b'{"alg":' + b"[" * 5000) + ".e30.",
        unpadded(b"[" * 5000) + ".e30.",
        unpadded(b'{"alg":"RS256","x":' + b"9" * 5000 + b"}") + ".e30.",
        unpadded(b'{"alg":"RS256"} \xff') + ".e30.",
    ],
    ids=lambda token: f"{token[:10]!r}-{len(token)}",
)
async def test_a_string_that_is_not_a_jwt_is_rejected(verifier: TokenVerifier, token: str) -> None:
    await refusal(verifier, token)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
NAMES = ["alg", "kid", "typ", "crit", "b64", "jwk", "jku", "x5c", "cty", "x"]


@settings(max_examples=examples(150))
@given(
    header=st.dictionaries(st.sampled_from(NAMES), JSON | st.sampled_from(["RS256", "first", "JWT", ["b64"]])),
    claims=st.dictionaries(st.sampled_from(["iss", "aud", "exp", "nbf", "iat", "sub", "jti"]), JSON),
)
def test_any_header_and_claims_lead_to_a_clean_rejection(header: dict[str, Any], claims: dict[str, Any]) -> None:
    import asyncio

    from commandapi.registrations.issuer import SigningKeys

    class KnownKeys(OidcIssuer):
        async def signing_keys(self) -> SigningKeys:
            return SigningKeys("https://issuer.example/", "", (FIRST_KEY,), 0)

        async def newer_keys(self, than: SigningKeys) -> SigningKeys:
            return than

    signed = spell(header, claims)
    for signature in ("", unpadded(sign_rs256(FIRST_KEY, signed.encode()))):
        with pytest.raises(InvalidToken):
            asyncio.run(TokenVerifier(KnownKeys("https://issuer.example"), AUDIENCE).verify(f"{signed}.{signature}"))
