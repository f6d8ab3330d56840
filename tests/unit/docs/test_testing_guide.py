"""The guide to testing shows tests that are run as they are."""

import re
from pathlib import Path

from bulkport import testing

ROOT = Path(__file__).resolve().parents[3]
GUIDE = ROOT / "docs" / "guides" / "testing.md"


def test_the_guide_shows_the_examples_tests_unchanged() -> None:
    sources = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "examples").glob("*.py"))
    shown = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert shown
    for block in shown:
        assert block in sources, f"the guide shows what no test of the examples has:\n{block}"


def test_the_guide_names_each_function_of_the_testing_kit() -> None:
    guide = GUIDE.read_text(encoding="utf-8")
    functions = [name for name in testing.__all__ if name.islower()]
    assert [name for name in functions if f"`{name}" not in guide] == []
