"""Messages name the field they are about, once."""

import pytest

from bulkport.imports.validation.messages import MAX_MESSAGE_LENGTH, sentence


@pytest.mark.parametrize(
    ("name", "description", "message"),
    [
        ("platformName", "must not be blank", "platformName must not be blank"),
        ("date", "must be a date such as 2024-12-31", "date must be a date such as 2024-12-31"),
        ("a", "is required", "a is required"),
        ("price", "Too good to be true", "price: Too good to be true"),
        ("price", "The price is too good to be true", "The price is too good to be true"),
        ("price", "Priceless things are not sold", "price: Priceless things are not sold"),
        ("", "the row must be a JSON object", "the row must be a JSON object"),
    ],
)
def test_a_message_names_its_field_once(name: str, description: str, message: str) -> None:
    assert sentence(name, description) == message


def test_a_long_message_is_truncated() -> None:
    message = sentence("note", "x" * 10_000)
    assert len(message) == MAX_MESSAGE_LENGTH
    assert message.endswith("…")
