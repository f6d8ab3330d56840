"""The languages of the pages: how one is chosen, and that each has every text."""

import re
from string import Formatter

import pytest

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
def test_language_is_the_chosen_one_or_what_the_browser_prefers(accepted: str, chosen: str, language: str) -> None:
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
