"""Each promise names the tests that prove it, and they are there."""

import re
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[3]
_PAGES = ("guarantees.md", "threat-model.md", "failure-model.md", "proof.md")
_PROOFS = re.compile(r"tests/[a-z_/]+(?:\.py)?|make [a-z]+")
_ROW = re.compile(r"^\| (?!promise )([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)


def _promises() -> list[tuple[str, str, str]]:
    return _ROW.findall((_ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8"))


def test_the_page_lists_the_promises() -> None:
    assert len(_promises()) > 25


@pytest.mark.parametrize(("promise", "rests_on", "proof"), _promises(), ids=lambda text: text[:50])
def test_each_promise_names_its_mechanism_and_its_test(promise: str, rests_on: str, proof: str) -> None:
    assert promise.strip()
    assert rests_on.strip()
    assert _PROOFS.search(proof)


@pytest.mark.parametrize("page", _PAGES)
def test_named_tests_exist(page: str) -> None:
    text = (_ROOT / "docs" / page).read_text(encoding="utf-8")
    named = set(re.findall(r"tests/[a-z_/]+(?:\.py)?", text))
    assert {name for name in named if not (_ROOT / name).exists()} == set()
    targets = set(re.findall(r"^([a-z-]+):", (_ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= targets
