"""Only forms of the dashboard's own pages are accepted, each from the viewer that it was made for."""

import httpx
import pytest
from starlette.requests import Request

from bulkport.dashboard import Role, Viewer
from bulkport.dashboard.core import csrf
from bulkport.dashboard.core.cookies import FORM_KEY

KEY = "ab" * 32
ANN = Viewer("ann", Role.OPERATOR, session="one")


def request_with(key: str | None = KEY, scheme: str = "http", **headers: str) -> Request:
    name = f"__Host-{FORM_KEY}" if scheme == "https" else FORM_KEY
    cookie = {} if key is None else {"cookie": f"{name}={key}"}
    sent = httpx.Headers({"host": "jobs.example", **cookie, **{k.replace("_", "-"): v for k, v in headers.items()}})
    return Request(
        {
            "type": "http",
            "method": "POST",
            "scheme": scheme,
            "path": "/do",
            "query_string": b"",
            "server": ("jobs.example", 80),
            "headers": [(name.lower(), value) for name, value in sent.raw],
        }
    )


def test_the_token_of_the_same_browser_and_viewer_is_accepted() -> None:
    assert csrf.refusal(request_with(), ANN, csrf.token(KEY, ANN)) is None
    assert csrf.refusal(request_with(scheme="https"), ANN, csrf.token(KEY, ANN)) is None


def test_every_page_has_a_different_token() -> None:
    assert csrf.token(KEY, ANN) != csrf.token(KEY, ANN)


@pytest.mark.parametrize(
    "other",
    [Viewer("bob", Role.OPERATOR, session="one"), Viewer("ann", Role.OPERATOR, session="two")],
    ids=["another viewer", "another sign-in"],
)
def test_the_token_of_another_viewer_is_rejected(other: Viewer) -> None:
    assert csrf.refusal(request_with(), ANN, csrf.token(KEY, other)) is not None


def test_viewer_and_session_cannot_be_confused() -> None:
    token = csrf.token(KEY, Viewer("a", Role.OPERATOR, session="nn"))
    assert csrf.refusal(request_with(), Viewer("an", Role.OPERATOR, session="n"), token) is not None


def test_the_token_of_another_browser_is_rejected() -> None:
    assert csrf.refusal(request_with("cd" * 32), ANN, csrf.token(KEY, ANN)) is not None
    assert csrf.refusal(request_with(None), ANN, csrf.token(KEY, ANN)) is not None


@pytest.mark.parametrize("given", ["", "x", "é", "!" * 88, "AAAA", "A" * 88])
def test_an_invalid_token_is_rejected(given: str) -> None:
    assert csrf.refusal(request_with(), ANN, given) is not None


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
def test_cross_site_requests_are_rejected_by_fetch_metadata(site: str) -> None:
    assert csrf.refusal(request_with(sec_fetch_site=site), ANN, csrf.token(KEY, ANN)) is not None


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://jobs.example.evil.example"])
def test_other_origins_are_rejected(origin: str) -> None:
    assert csrf.refusal(request_with(origin=origin), ANN, csrf.token(KEY, ANN)) is not None


def test_the_same_origin_is_accepted() -> None:
    token = csrf.token(KEY, ANN)
    assert csrf.refusal(request_with(origin="http://JOBS.example"), ANN, token) is None
    # A proxy gave the request another host, but the browser vouches for it.
    assert csrf.refusal(request_with(origin="https://public.example", sec_fetch_site="same-origin"), ANN, token) is None


def test_over_https_a_cookie_without_its_prefix_is_ignored() -> None:
    request = request_with(None, scheme="https", cookie=f"{FORM_KEY}={KEY}")
    assert csrf.refusal(request, ANN, csrf.token(KEY, ANN)) is not None
