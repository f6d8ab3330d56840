"""Which trace id a request has (W3C Trace Context)."""

import re

import pytest

from bulkport.fastapi.trace import trace_id_from

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


def with_traceparent(*values: str) -> str:
    return trace_id_from([(b"host", b"x"), *((b"traceparent", value.encode()) for value in values)])


@pytest.mark.parametrize("value", [f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00", f"cc-{TRACE}-{SPAN}-01-later"])
def test_a_valid_header_provides_the_trace_id(value: str) -> None:
    assert with_traceparent(value) == TRACE


@pytest.mark.parametrize(
    "values",
    [
        (),
        ("",),
        (f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01"),
        (f"ff-{TRACE}-{SPAN}-01",),
        (f"00-{TRACE.upper()}-{SPAN}-01",),
        (f"00-{'0' * 32}-{SPAN}-01",),
        (f"00-{TRACE}-{'0' * 16}-01",),
        (f"00-{TRACE}-{SPAN}-01-later",),
        (f"00-{TRACE}-{SPAN}",),
        (f"00-{TRACE}-{SPAN}-01\n",),
        (f"00-{TRACE}0-{SPAN}-01",),
    ],
)
def test_any_other_request_gets_a_random_trace_id(values: tuple[str, ...]) -> None:
    first, second = with_traceparent(*values), with_traceparent(*values)
    assert first != second
    assert TRACE not in (first, second)
    assert re.fullmatch("[0-9a-f]{32}", first)
