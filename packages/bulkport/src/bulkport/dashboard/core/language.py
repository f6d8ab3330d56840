"""The languages of the pages: English in the source, other languages as a catalogue from English to theirs.

A text is written where it is shown: `t("Queue is empty")`, with values as `t("oldest: {age}", age=...)`. The language
is that of the request (`speaking`). A text without a translation is shown in English. `english` gives the English of a
text that was made in another language: the audit is in English, whoever acts.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, Final, Self

from markupsafe import Markup, escape

from bulkport.dashboard.translations.german import GERMAN
from bulkport.dashboard.translations.spanish import SPANISH

LANGUAGES: Final[Mapping[str, str]] = {"en": "English", "de": "Deutsch", "es": "Español"}
"""Codes (BCP 47) and the names that speakers call them."""

_ENGLISH: Final = "en"
_CATALOGUES: Final[dict[str, Mapping[str, str]]] = {_ENGLISH: {}, "de": GERMAN, "es": SPANISH}
_WITH_DECIMAL_COMMA: Final = frozenset({"de", "es"})
_SWAPPED: Final = str.maketrans(",.", ".,")

_language: ContextVar[str] = ContextVar("language", default=_ENGLISH)


def add_texts(language: str, texts: Mapping[str, str]) -> None:
    """Add translations of texts that an application's own pages show; those of the library's stay."""
    _CATALOGUES[language] = {**texts, **_CATALOGUES[language]}


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Texts are in this language while the context lasts."""
    token = _language.set(language if language in LANGUAGES else _ENGLISH)
    try:
        yield
    finally:
        # A coroutine left open until its loop closes is closed in another context, where nothing was set.
        with suppress(ValueError):
            _language.reset(token)


def current_language() -> str:
    """The code of the language that is spoken."""
    return _language.get()


def preferred(accepted: str, chosen: str = "") -> str:
    """The language for a request.

    Parameters
    ----------
    accepted
        The `Accept-Language` header (RFC 9110 §12.5.4).
    chosen
        What the viewer chose on a page; it wins.
    """
    if chosen in LANGUAGES:
        return chosen
    offers: list[tuple[float, int, str]] = []
    for place, offer in enumerate(accepted.split(",")[:20]):
        tag, _, weight = offer.partition(";")
        try:
            quality = float(weight.replace(" ", "").removeprefix("q=") or 1)
        except ValueError:
            continue
        offers.append((-quality, place, tag.strip().lower().partition("-")[0]))
    return next((code for quality, _, code in sorted(offers) if code in LANGUAGES and quality < 0), _ENGLISH)


class Translated(str):
    """A text in another language that remembers its English."""

    english: str

    def __new__(cls, text: str, english: str) -> Self:
        """The text and its English original."""
        made = super().__new__(cls, text)
        made.english = english
        return made


def english(text: str) -> str:
    """The English original of a text made by `t`, `n`, `localised` or `joined`."""
    return text.english if isinstance(text, Translated) else text


def joined(separator: str, parts: Iterable[str]) -> str:
    """Texts one after the other, as `separator.join(parts)`."""
    texts = list(parts)
    shown = separator.join(texts)
    return shown if _language.get() == _ENGLISH else Translated(shown, english(separator).join(map(english, texts)))


def translated(text: str) -> str:
    """A text in the language of the request, its placeholders left in place."""
    return _CATALOGUES[_language.get()].get(text, text)


def t(text: str, /, **values: object) -> str:
    """A text in the language of the request, with values for its placeholders."""
    shown = translated(text)
    if not values:
        return shown if shown is text else Translated(shown, text)
    if _language.get() == _ENGLISH:
        return shown.format(**values)
    in_english = {name: english(value) if isinstance(value, str) else value for name, value in values.items()}
    return Translated(shown.format(**values), text.format(**in_english))


def n(count: int, one: str, many: str, /, **values: object) -> str:
    """`one` or `many`, by the count, which is their placeholder `{count}`: `n(3, "{count} job", "{count} jobs")`."""
    return t(one if count == 1 else many, count=localised(f"{count:,}"), **values)


def localised(number: str) -> str:
    """A number as the language of the request separates its digits, from one such as `1,234.5`."""
    if _language.get() not in _WITH_DECIMAL_COMMA:
        return number
    return Translated(number.translate(_SWAPPED), number)


def markup(text: str, /, **values: Any) -> Markup:
    """As `t`, for templates: values that are markup stay markup, everything else is escaped."""
    shown = escape(translated(text))
    return shown.format(**values) if values else shown


def markup_n(count: int, one: str, many: str, /, **values: Any) -> Markup:
    """As `n`, for templates."""
    return markup(one if count == 1 else many, count=localised(f"{count:,}"), **values)
