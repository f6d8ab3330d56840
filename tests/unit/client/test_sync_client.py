"""The synchronous client does what the asynchronous one does: its handles are made from it."""

import runpy
from pathlib import Path

import pytest

SCRIPT = runpy.run_path(str(Path(__file__).parents[3] / "packages" / "bulkport" / "scripts" / "sync_client.py"))


@pytest.mark.parametrize(("source", "target"), SCRIPT["SOURCES"].items())
def test_the_synchronous_handles_are_generated_from_the_asynchronous_ones(source: str, target: str) -> None:
    made = SCRIPT["converted"]((SCRIPT["CLIENT"] / source).read_text(encoding="utf-8"))
    assert (SCRIPT["CLIENT"] / target).read_text(encoding="utf-8") == made, "run: make client"
