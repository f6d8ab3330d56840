"""The page of limits matches the settings."""

import re
from pathlib import Path

import pytest

from commandapi.settings import Settings

_PAGE = Path(__file__).parents[3] / "docs" / "reference" / "limits.md"
_ROW = re.compile(r"^\| [^|]+ \| `([^`]*)` \| `COMMANDAPI_(\w+)` \| ([^|]+) \|$", re.MULTILINE)


def _rows() -> list[tuple[str, str, str]]:
    return _ROW.findall(_PAGE.read_text(encoding="utf-8"))


def test_the_page_lists_the_limits() -> None:
    assert len(_rows()) > 25


_LIMIT = re.compile(r"^(max_|user_upload_limit|upload_limit|requests_|body_min_|disk_watermark|api_pool_size)")


def test_every_setting_that_is_a_limit_is_on_the_page() -> None:
    limits = {name.upper() for name in Settings.model_fields if _LIMIT.match(name)}
    assert limits - {name for _, name, _ in _rows()} == set()


@pytest.mark.parametrize(("default", "name", "answer"), _rows(), ids=lambda text: text[:40])
def test_each_limit_has_the_documented_default(default: str, name: str, answer: str) -> None:
    field = Settings.model_fields[name.lower()]
    assert str(field.default) == default
    assert re.search(r"\b(400|404|408|409|413|414|429|431|503|507)\b|closed|waits|counted|counts as new", answer)
