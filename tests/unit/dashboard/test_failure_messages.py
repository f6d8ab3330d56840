"""What the messages of failures have in common."""

import pytest

from bulkport.dashboard.pages.failure_groups import normalised


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("erp.example.com:443 did not answer within 10 s", "erp.example.com:… did not answer within … s"),
        ("no recipient in 'Accounting'", "no recipient in …"),
        ("'order_id'", "'order_id'"),
        ("'order_id' is missing in 'Order 7'", "'order_id' is missing in …"),
        (
            'violates unique constraint "users_email_key": Key (id)=(7, 8c2f6a4e-1111-4222-8333-944455566677)',
            'violates unique constraint "users_email_key": Key (id)=(…)',
        ),
        ("first line 1\nsecond line", "first line …"),
        ("unknown host 0xdeadbeef", "unknown host …"),
    ],
)
def test_variable_parts_are_removed_but_key_and_constraint_names_stay(message: str, shown: str) -> None:
    assert normalised(message) == shown
