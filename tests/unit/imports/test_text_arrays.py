"""Columns of texts as arrays, against psycopg's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.adapt import PyFormat, Transformer

from bulkport.imports.writing.text_arrays import TextArray, binary_text_array

_TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


def _by_psycopg(texts: list[str | None]) -> bytes:
    found = Transformer(None).get_dumper(texts, PyFormat.BINARY).dump(texts)
    assert found is not None
    return bytes(found)


@given(st.lists(st.one_of(st.none(), _TEXTS), min_size=1).filter(any))
def test_an_array_equals_the_one_that_psycopg_builds(texts: list[str | None]) -> None:
    assert binary_text_array(texts) == _by_psycopg(texts)


@pytest.mark.parametrize("texts", [["a" * 1023, "b" * 1024, "", "é" * 600], ["x" * 100_000]])
def test_long_texts_have_their_lengths(texts: list[str | None]) -> None:
    assert binary_text_array(texts) == _by_psycopg(texts)


def test_arrays_without_text_declare_the_text_type() -> None:
    dumper = Transformer(None).get_dumper(TextArray([None]), PyFormat.BINARY)
    assert dumper.oid == 1009
    assert dumper.dump(TextArray([None])) == bytes.fromhex("00000001000000010000001900000001 00000001ffffffff")
    assert dumper.dump(TextArray([])) == bytes.fromhex("000000000000000000000019")


def test_half_a_surrogate_pair_is_rejected() -> None:
    with pytest.raises(UnicodeEncodeError):
        binary_text_array(["\ud800"])
