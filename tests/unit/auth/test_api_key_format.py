"""The one spelling of an API key."""

import base64
import hashlib
import uuid

import pytest

from commandapi.auth import key_format


def test_a_key_is_a_guid_and_32_random_bytes_in_base64url() -> None:
    key = key_format.generate()
    assert len(key.text) == 79
    assert str(uuid.UUID(key.text[:36])) == key.text[:36]
    assert len(base64.urlsafe_b64decode(key.text[36:] + "=")) == 32


def test_keys_differ_in_both_parts() -> None:
    keys = [key_format.generate() for _ in range(100)]
    assert len({key.index for key in keys}) == len({key.secret for key in keys}) == 100


def test_parse_reads_what_generate_wrote() -> None:
    key = key_format.generate()
    assert key_format.parse(key.text) == key


def test_the_hash_is_sha256_of_the_secret_alone() -> None:
    key = key_format.generate()
    assert key.secret_hash == hashlib.sha256(key.text[36:].encode()).digest()


def test_repr_hides_the_secret() -> None:
    key = key_format.generate()
    assert key.secret not in repr(key)


KEY = "0b0c1f0e-6f0f-4d6c-9a3e-2f8f5d1f7c11" + "3q2-7wAAAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBk"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(KEY[:-1], id="a character short"),
        pytest.param(KEY + "A", id="a character long"),
        pytest.param(KEY + "\n", id="line end"),
        pytest.param(KEY[:-1] + "\n", id="line end in place of a character"),
        pytest.param(" " + KEY, id="space"),
        pytest.param(KEY[:36].upper() + KEY[36:], id="upper case"),
        pytest.param(KEY.replace("-", "", 4), id="no hyphens"),
        pytest.param("{" + KEY[1:], id="brace"),
        pytest.param(KEY[:-1] + "=", id="padding"),
        pytest.param(KEY[:-1] + "+", id="base64 of the other alphabet"),
        pytest.param(KEY[:-1] + "\0", id="NUL"),
        pytest.param(KEY[:-1] + "é", id="not ASCII"),
        pytest.param("\u0660" + KEY[1:], id="Arabic digit, which int() and uuid.UUID() take"),
        pytest.param(KEY[:78] + "\ud800", id="surrogate"),
        pytest.param("A" * 10_000_000, id="huge"),
    ],
)
def test_other_spellings_are_not_keys(text: str) -> None:
    assert key_format.parse(KEY) is not None
    assert key_format.parse(text) is None
