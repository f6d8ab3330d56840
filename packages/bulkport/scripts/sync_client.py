"""Writes the synchronous client's handles from the asynchronous ones, which are the source: `make client`.

`client.py` and `async_client.py`, which do the input and output, are each written by hand.
"""

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

CLIENT: Final = Path(__file__).parents[1] / "src" / "bulkport" / "client"
SOURCES: Final = {"async_import_handle.py": "import_handle.py", "async_imports.py": "imports.py"}
_REPLACED: Final = (
    (r"\basync (def|with|for)\b", r"\1"),
    (r"\bawait anext\(", "next("),
    (r"\bawait ", ""),
    (r"\bAsync(Client|Import|Imports|Iterator)\b", r"\1"),
    (r"\basync_(client|import_handle|imports)\b", r"\1"),
    (r"\baiter_", "iter_"),
    (r"\basynchronous\b", "synchronous"),
    (r"\s*# noqa: ASYNC.*", ""),
)


def converted(source: str) -> str:
    """The synchronous module of an asynchronous one, formatted."""
    for pattern, replacement in _REPLACED:
        source = re.sub(pattern, replacement, source)
    head, end, rest = source.partition('"""\n')
    note = f"\n# Made from its asynchronous twin by {Path(__file__).name}: change that one.\n"
    linted = _ruff(f"{head}{end}{note}{rest}", "check", "--fix", "--unsafe-fixes", "--exit-zero")
    return _ruff(linted, "format")


def _ruff(source: str, *arguments: str) -> str:
    """What ruff makes of a module of the client."""
    command = [sys.executable, "-m", "ruff", *arguments, "--quiet", "--stdin-filename", str(CLIENT / "client.py"), "-"]
    return subprocess.run(command, input=source, capture_output=True, text=True, check=True).stdout  # noqa: S603


def main() -> None:
    """Write them."""
    for source, target in SOURCES.items():
        (CLIENT / target).write_text(converted((CLIENT / source).read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
