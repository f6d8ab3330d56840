"""The pages of the commands are those that `make docs` writes from the commands themselves."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

PAGES = {
    "bulkport-command.md": ("bulkport.cli.commands.main", "bulkport", "The command bulkport"),
    "command-line.md": ("commandapi.cli.main", "commandapi", "The command line"),
}


@pytest.mark.parametrize("page", PAGES)
def test_the_command_page_is_up_to_date(page: str) -> None:
    module, name, title = PAGES[page]
    done = subprocess.run(
        [sys.executable, "-m", "typer", module, "utils", "docs", "--name", name, "--title", title],
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    written = (ROOT / "docs" / "reference" / page).read_text(encoding="utf-8")
    assert written.strip() == done.stdout.strip(), "run: make docs"
