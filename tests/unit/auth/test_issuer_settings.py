"""What the settings take as an issuer."""

import pytest
from pydantic import ValidationError

from commandapi.settings import Settings


@pytest.mark.parametrize(
    "url", ["https://tenant.eu.auth0.com/", "https://id.example:8443/realms/main", "http://localhost:9400"]
)
def test_the_issuer_is_kept_as_written(url: str) -> None:
    assert Settings(oidc_issuer=url).oidc_issuer == url


@pytest.mark.parametrize("blank", ["", " "])
def test_a_blank_variable_counts_as_unset(blank: str) -> None:
    settings = Settings(oidc_issuer=blank, oidc_audience=blank)
    assert settings.oidc_issuer is settings.oidc_audience is None


@pytest.mark.parametrize(
    "url",
    [
        "tenant.auth0.com",
        "ftp://tenant.example",
        "https://",
        "https://x/?a=1",
        "https://x/#a",
        "https://u:p@x/",
        "https://x:0/",
        "https://x:99999/",
        "https://[::1/",
    ],
)
def test_an_invalid_issuer_is_rejected(url: str) -> None:
    with pytest.raises(ValidationError, match="must be an address"):
        Settings(oidc_issuer=url)


@pytest.mark.parametrize("url", ["https://x.example", "http://localhost:9400", "http://127.0.0.1:1", "http://[::1]:1"])
def test_production_accepts_https_and_localhost(url: str) -> None:
    Settings.model_validate({"environment": "production", "oidc_issuer": url})


@pytest.mark.parametrize("url", ["http://x.example", "http://10.0.0.1"])
def test_production_rejects_plain_http(url: str) -> None:
    Settings.model_validate({"oidc_issuer": url})
    with pytest.raises(ValidationError, match="https"):
        Settings.model_validate({"environment": "production", "oidc_issuer": url})
