"""The languages of the pages: how one is chosen, and that each has every text."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

import bulkport.dashboard
from bulkport.dashboard.core.formatting import number
from bulkport.dashboard.core.language import n, preferred, speaking, t
from bulkport.dashboard.translations.german import GERMAN
from bulkport.dashboard.translations.spanish import SPANISH


@pytest.mark.parametrize(
    ("accepted", "chosen", "language"),
    [
        ("", "", "en"),
        ("de-AT,de;q=0.9,en;q=0.8", "", "de"),
        ("fr,es;q=0.5", "", "es"),
        ("en;q=0.2,de;q=0.7", "", "de"),
        ("de;q=0", "", "en"),
        ("fr", "", "en"),
        ("de;q=many", "", "en"),
        ("de", "es", "es"),
        ("de", "xx", "de"),
    ],
)
def test_the_language_is_the_chosen_one_or_the_browsers_preference(accepted: str, chosen: str, language: str) -> None:
    assert preferred(accepted, chosen) == language


def test_texts_and_numbers_are_in_the_language_of_the_request() -> None:
    assert t("Queue is empty") == "Queue is empty"
    with speaking("de"):
        assert t("Queue is empty") == "Warteschlange ist leer"
        assert n(1200, "{count} job", "{count} jobs") == "1.200 Jobs"
        assert number(0.4) == "0,4"
    with speaking("es"):
        assert n(1, "{count} job", "{count} jobs") == "1 trabajo"
    assert t("a text that nobody has translated") == "a text that nobody has translated"


def placeholders(text: str) -> list[str]:
    return sorted(name for _, name, _, _ in Formatter().parse(text) if name is not None)


def test_translations_have_the_placeholders_of_the_english_text() -> None:
    assert set(GERMAN) == set(SPANISH)
    for catalogue in (GERMAN, SPANISH):
        for english, translation in catalogue.items():
            assert placeholders(english) == placeholders(translation), english
            assert not re.search(r"\s$", translation), english


FOLDER = Path(bulkport.dashboard.__file__).parent
IN_TEMPLATES = re.compile(r'\bt\("([^"]*[^" ])"')
OF_COUNTS = re.compile(r'\bn\([^"]*"([^"]*)", "([^"]*)"')


def texts_of_templates() -> Iterator[str]:
    for template in FOLDER.glob("templates/*.html"):
        source = template.read_text(encoding="utf-8")
        yield from IN_TEMPLATES.findall(source)
        for both in OF_COUNTS.findall(source):
            yield from both


def texts_of_modules() -> Iterator[str]:
    for module in FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("t", "n", "Column"):
                first = node.args[1:3] if node.func.id == "n" else node.args[:1]
                yield from (one.value for one in first if isinstance(one, ast.Constant) and isinstance(one.value, str))


def test_every_text_of_the_pages_is_translated() -> None:
    texts = {*texts_of_templates(), *texts_of_modules()} - {""}
    assert len(texts) > 500
    assert not sorted(texts - set(GERMAN))
