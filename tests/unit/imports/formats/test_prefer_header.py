"""Prefer (RFC 7240): `handling` is found among anything else, and no header is an error."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkport.imports.formats import Handling, parse_prefer

STRICT, LENIENT = Handling.STRICT, Handling.LENIENT


@pytest.mark.parametrize(
    ("prefer", "handling"),
    [
        (None, None),
        ("", None),
        ("handling=strict", STRICT),
        ("handling=lenient", LENIENT),
        ("Handling = Strict", STRICT),
        ('handling="lenient"', LENIENT),
        ("handling=lenient; foo=bar", LENIENT),
        ("respond-async, wait=10, handling=strict", STRICT),
        ('foo="a, handling=strict", handling=lenient', LENIENT),
        ('foo="a \\", handling=strict"; bar="x, handling=strict", handling=lenient', LENIENT),
        ("foo; handling=strict", None),
        ("handling=lenient, handling=strict", LENIENT),
        ("handling=loose, handling=strict", None),
        ("handling", None),
        ("handling=", None),
        ("xhandling=strict", None),
        (", ,handling=strict", STRICT),
        ("=x, handling=strict", STRICT),
        (["wait=5", "handling=strict"], STRICT),
        (["return=minimal; x", "", "handling=lenient"], LENIENT),
        ([], None),
    ],
)
def test_the_handling_preference_is_found(prefer: str | list[str] | None, handling: Handling | None) -> None:
    assert parse_prefer(prefer) is handling


@given(prefer=st.text() | st.text(alphabet='handling=strict,;"\\ '))
def test_no_header_is_an_error(prefer: str) -> None:
    parse_prefer(prefer)


@pytest.mark.parametrize("unit", ['a;"', "a ", '"', "=", ";", ',"', '\\"', 'a="\\'])
def test_a_hostile_header_takes_linear_time(unit: str) -> None:
    started = time.process_time()
    parse_prefer(unit * (65_536 // len(unit)))
    assert time.process_time() - started < 1
