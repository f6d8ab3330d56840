"""The code of the migration guides runs as written."""

import re
from pathlib import Path

import pytest

GUIDES = Path(__file__).parents[3] / "docs" / "guides"
NAMES = ("from-celery", "from-hangfire", "from-django-import-export")
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_the_code_of_a_guide_declares_what_the_guide_says(name: str) -> None:
    blocks = BLOCK.findall((GUIDES / f"{name}.md").read_text(encoding="utf-8"))
    assert blocks
    for code in blocks:
        module = f"guide_{name.replace('-', '_')}"
        names: dict[str, object] = {"__name__": module, "DATABASE_URL": "postgresql:///shop"}
        exec(compile(code, f"{name}.md", "exec"), names)  # it is ours


@pytest.mark.parametrize("name", NAMES)
def test_a_guide_names_existing_calls(name: str) -> None:
    text = (GUIDES / f"{name}.md").read_text(encoding="utf-8")
    from bulkport import Bulkport  # after the guides were read

    called = set(re.findall(r"\bbulkport\.([a-z_]+)[(.]", text)) - {"testing", "jobs", "sync", "recurring"}
    assert all(hasattr(Bulkport, one) for one in called), called
