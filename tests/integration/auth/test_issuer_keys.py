"""When the issuer is asked for its keys, and what happens when it does not answer."""

import asyncio
import json
import threading

import pytest
from issuer_server import AUDIENCE, DISCOVERY, JWKS, IssuerServer, rsa_key

from commandapi.registrations.errors import InvalidToken, IssuerUnavailable
from commandapi.registrations.issuer import OidcIssuer
from commandapi.registrations.tokens import TokenVerifier

CACHE_SECONDS = 600.0
REFRESH_SECONDS = 10.0


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def verifier(issuer: IssuerServer, clock: Clock) -> TokenVerifier:
    source = OidcIssuer(issuer.url, cache_seconds=CACHE_SECONDS, refresh_seconds=REFRESH_SECONDS, clock=clock)
    return TokenVerifier(source, AUDIENCE)


async def test_keys_are_fetched_once_and_cached(issuer: IssuerServer, verifier: TokenVerifier, clock: Clock) -> None:
    for _ in range(5):
        await verifier.verify(issuer.token())
        clock.now += CACHE_SECONDS / 6
    assert issuer.requests == [DISCOVERY, JWKS]


async def test_keys_are_fetched_again_when_the_cache_expires(
    issuer: IssuerServer, verifier: TokenVerifier, clock: Clock
) -> None:
    await verifier.verify(issuer.token())
    clock.now += CACHE_SECONDS
    await verifier.verify(issuer.token())
    assert issuer.requests == [DISCOVERY, JWKS] * 2


async def test_a_withdrawn_key_is_rejected_once_the_cache_expires(
    issuer: IssuerServer, verifier: TokenVerifier, clock: Clock
) -> None:
    token = issuer.token()
    await verifier.verify(token)
    issuer.keys = [rsa_key("second")]
    clock.now += CACHE_SECONDS
    with pytest.raises(InvalidToken):
        await verifier.verify(token)


async def test_a_new_key_is_fetched_when_a_token_names_it(
    issuer: IssuerServer, verifier: TokenVerifier, clock: Clock
) -> None:
    await verifier.verify(issuer.token())
    clock.now += REFRESH_SECONDS
    second = rsa_key("second")
    issuer.keys.append(second)
    assert await verifier.verify(issuer.token(key=second)) == "auth0|ann"
    assert await verifier.verify(issuer.token()) == "auth0|ann"
    assert issuer.requests == [DISCOVERY, JWKS, JWKS]


async def test_a_new_key_is_found_for_a_token_without_a_key_id(
    issuer: IssuerServer, verifier: TokenVerifier, clock: Clock
) -> None:
    await verifier.verify(issuer.token())
    clock.now += REFRESH_SECONDS
    second = rsa_key("second")
    issuer.keys = [second]
    assert await verifier.verify(issuer.token(key=second, header={"kid": None})) == "auth0|ann"


async def test_unknown_key_ids_do_not_make_the_server_hammer_the_issuer(
    issuer: IssuerServer, verifier: TokenVerifier, clock: Clock
) -> None:
    async def attack(key_id: str) -> None:
        with pytest.raises(InvalidToken):
            await verifier.verify(issuer.token(header={"kid": key_id}))

    await verifier.verify(issuer.token())
    await asyncio.gather(*(attack(f"early-{number}") for number in range(50)))
    assert issuer.requests == [DISCOVERY, JWKS]
    clock.now += REFRESH_SECONDS
    await asyncio.gather(*(attack(f"garbage-{number}") for number in range(50)))
    assert issuer.requests == [DISCOVERY, JWKS, JWKS]
    assert await verifier.verify(issuer.token()) == "auth0|ann"


async def test_concurrent_requests_share_one_fetch(issuer: IssuerServer, verifier: TokenVerifier) -> None:
    is_asked, may_answer = threading.Event(), threading.Event()

    def hold() -> None:
        is_asked.set()
        assert may_answer.wait(60)

    issuer.before_answer = hold
    waiting = [asyncio.create_task(verifier.verify(issuer.token())) for _ in range(20)]
    assert await asyncio.to_thread(is_asked.wait, 30)
    issuer.before_answer = lambda: None
    may_answer.set()
    assert set(await asyncio.gather(*waiting)) == {"auth0|ann"}
    assert issuer.requests == [DISCOVERY, JWKS]


async def test_a_new_key_named_by_many_tokens_is_fetched_once(
    issuer: IssuerServer, verifier: TokenVerifier, clock: Clock
) -> None:
    await verifier.verify(issuer.token())
    clock.now += REFRESH_SECONDS
    second = rsa_key("second")
    issuer.keys = [second]
    users = await asyncio.gather(*(verifier.verify(issuer.token(key=second, sub=f"u{n}")) for n in range(20)))
    assert users == [f"u{n}" for n in range(20)]
    assert issuer.requests == [DISCOVERY, JWKS, JWKS]


async def test_a_cancelled_request_does_not_affect_the_others(issuer: IssuerServer, verifier: TokenVerifier) -> None:
    is_asked, may_answer = threading.Event(), threading.Event()

    def hold() -> None:
        is_asked.set()
        assert may_answer.wait(60)

    issuer.before_answer = hold
    leaving = asyncio.create_task(verifier.verify(issuer.token()))
    assert await asyncio.to_thread(is_asked.wait, 30)
    staying = asyncio.create_task(verifier.verify(issuer.token()))
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    may_answer.set()
    assert await staying == "auth0|ann"


def keys(*entries: object) -> bytes:
    return json.dumps({"keys": entries}).encode()


@pytest.mark.parametrize("path", [DISCOVERY, JWKS])
@pytest.mark.parametrize(
    "answer",
    [
        (500, b"{}"),
        (404, b"{}"),
        (302, b""),
        (200, b""),
        (200, b"<html>"),
        (200, b"\xff\xfe"),
        (200, b"[]"),
        (200, b"{}"),
        (200, b"[" * 100_000),
        (200, keys()),
        (200, keys(None, 7, {}, {"kty": []}, {"kty": "oct", "k": "AAAA"}, {"kty": "RSA", "n": "*", "e": "AQAB"})),
        (200, keys({"kty": "RSA"}, {"kty": "RSA", "n": 7, "e": 7}, {"kty": "EC", "crv": "P-0", "x": "AA", "y": "AA"})),
        (200, b'{"keys": 7}'),
    ],
    ids=lambda answer: f"{answer[0]}-{answer[1][:30]!r}",
)
async def test_an_unusable_response_is_the_issuers_fault_not_the_tokens(
    issuer: IssuerServer, verifier: TokenVerifier, clock: Clock, path: str, answer: tuple[int, bytes]
) -> None:
    issuer.answers[path] = answer
    with pytest.raises(IssuerUnavailable):
        await verifier.verify(issuer.token())
    del issuer.answers[path]
    clock.now += REFRESH_SECONDS
    assert await verifier.verify(issuer.token()) == "auth0|ann"


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://evil.example/"},
        {"issuer": None},
        {"issuer": 7},
        {"jwks_uri": None},
        {"jwks_uri": 7},
        {"jwks_uri": "/keys"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "http://"},
        {"jwks_uri": "http://[::1"},
        {"jwks_uri": "http://127.0.0.1:99999/"},
        {"jwks_uri": "http://a\0b/"},
        {"jwks_uri": "http://" + "a" * 100_000},
    ],
    ids=lambda changes: str(changes)[:60],
)
async def test_an_unusable_discovery_document_is_the_issuers_fault(
    issuer: IssuerServer, verifier: TokenVerifier, changes: dict[str, object]
) -> None:
    issuer.discovery.update(changes)
    with pytest.raises(IssuerUnavailable):
        await verifier.verify(issuer.token())


@pytest.mark.parametrize("path", [DISCOVERY, JWKS])
async def test_an_endless_response_is_cut_off(issuer: IssuerServer, verifier: TokenVerifier, path: str) -> None:
    status, body = issuer.answer(path)
    issuer.answers[path] = (status, b" " * 2**20 + body)
    with pytest.raises(IssuerUnavailable):
        await verifier.verify(issuer.token())


async def test_unusable_keys_do_not_affect_the_others(issuer: IssuerServer, verifier: TokenVerifier) -> None:
    good = issuer.keys[0].as_dict(private=False)
    issuer.answers[JWKS] = (200, keys(None, {"kty": "AKP", "kid": "new"}, {"kty": "RSA", "n": "*"}, good))
    assert await verifier.verify(issuer.token()) == "auth0|ann"


async def test_an_unavailable_issuer_is_not_asked_again_for_a_while(
    issuer: IssuerServer, verifier: TokenVerifier, clock: Clock
) -> None:
    issuer.answers[DISCOVERY] = (503, b"")
    for _ in range(5):
        with pytest.raises(IssuerUnavailable):
            await verifier.verify(issuer.token())
    assert issuer.requests == [DISCOVERY]
    clock.now += REFRESH_SECONDS
    with pytest.raises(IssuerUnavailable):
        await verifier.verify(issuer.token())
    assert issuer.requests == [DISCOVERY] * 2


async def test_cached_keys_are_used_while_the_issuer_is_unavailable(
    issuer: IssuerServer, verifier: TokenVerifier, clock: Clock
) -> None:
    await verifier.verify(issuer.token())
    issuer.answers[JWKS] = issuer.answers[DISCOVERY] = (503, b"")
    clock.now += REFRESH_SECONDS
    with pytest.raises(IssuerUnavailable):
        await verifier.verify(issuer.token(header={"kid": "perhaps new"}))
    assert await verifier.verify(issuer.token()) == "auth0|ann"


async def test_a_refused_connection_is_the_issuers_fault() -> None:
    verifier = TokenVerifier(OidcIssuer("http://127.0.0.1:1/"), AUDIENCE)
    with pytest.raises(IssuerUnavailable):
        await verifier.verify("eyJhbGciOiJSUzI1NiJ9.e30.AAAA")


async def test_an_issuer_that_does_not_respond_times_out(issuer: IssuerServer) -> None:
    may_answer = threading.Event()
    issuer.before_answer = lambda: may_answer.wait(60)
    verifier = TokenVerifier(OidcIssuer(issuer.url, timeout_seconds=0.2), AUDIENCE)
    try:
        with pytest.raises(IssuerUnavailable):
            await verifier.verify(issuer.token())
    finally:
        may_answer.set()


async def test_keys_of_an_https_issuer_are_not_fetched_over_http(
    issuer: IssuerServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = OidcIssuer("https://tenant.example/", refresh_seconds=REFRESH_SECONDS, clock=clock)
    jwks = {"keys": [key.as_dict(private=False) for key in issuer.keys]}
    answered = {"issuer": "https://tenant.example/", "jwks_uri": f"{issuer.url}keys", **jwks}

    async def answer(*_: object) -> dict[str, object]:
        return answered

    monkeypatch.setattr(source, "_get", answer)
    with pytest.raises(IssuerUnavailable):
        await source.signing_keys()
    answered["jwks_uri"] = "https://keys.tenant.example/"
    clock.now += REFRESH_SECONDS
    assert len((await source.signing_keys()).keys) == 1
