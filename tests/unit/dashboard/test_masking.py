"""Values of names that look like secrets are hidden, wherever they are."""

import pytest

from bulkport.dashboard.core.masking import MASK, Masking


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "PASSWORD",
        "db_password",
        "passwords",
        "access-token",
        "accessToken",
        "refreshTokens",
        "client_secret",
        "apiKey",
        "APIKey",
        "X-Api-Key",
        "apikey",
        "old_api_keys",
        "Authorization",
    ],
)
def test_spellings_of_secret_names_are_masked(name: str) -> None:
    assert Masking().hides(name)


@pytest.mark.parametrize("name", ["keyboard", "api", "key", "tokenizer", "secretary", "author", "recipient", ""])
def test_other_names_are_shown(name: str) -> None:
    assert not Masking().hides(name)


def test_values_are_masked_at_any_depth_and_others_kept() -> None:
    value = {
        "to": "ada",
        "auth": {"password": {"old": 1}, "tries": 3},
        "list": [{"token": "t"}, "plain"],
        "secret": None,
    }
    assert Masking().apply(value) == {
        "to": "ada",
        "auth": {"password": MASK, "tries": 3},
        "list": [{"token": MASK}, "plain"],
        "secret": None,
    }


def test_the_application_chooses_the_masked_names() -> None:
    masking = Masking(["iban"])
    assert masking.hides("IBAN")
    assert not masking.hides("password")
