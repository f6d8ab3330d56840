"""The process that turns one file into text: `python -m bulkport.imports.workbooks.converter ORDER` (JSON).

Its standard output begins with a line of JSON: `{"sheet": …}`, or `{"error": …}` with nothing after it; then the text.
"""

import json
import sys
from typing import Any

from bulkport.imports.workbooks.errors import DAMAGED, UnreadableFileError


def main() -> None:
    """Convert the file that the order names."""
    order: dict[str, Any] = json.loads(sys.argv[1])
    _limit(order["memory_bytes"], order["seconds"])
    out = sys.stdout.buffer
    try:
        if order["format"] == "parquet":
            from bulkport.imports.workbooks.parquet import read_parquet  # noqa: PLC0415

            found, parts = read_parquet(order)
        else:
            from bulkport.imports.workbooks.excel import read_workbook  # noqa: PLC0415

            found, parts = read_workbook(order)
    except UnreadableFileError as error:
        out.write(json.dumps({"error": str(error)}).encode() + b"\n")
        return
    except MemoryError:
        out.write(json.dumps({"error": "it needs more memory than a file may"}).encode() + b"\n")
        return
    except ImportError as error:
        out.write(json.dumps({"missing": error.name}).encode() + b"\n")
        return
    out.write(json.dumps(found).encode() + b"\n")
    try:
        for part in parts:
            out.write(part)
    except MemoryError:
        raise
    except Exception:  # a damaged file may make its reader raise anything
        sys.exit(DAMAGED)
    out.flush()


def _limit(memory_bytes: int, seconds: int) -> None:
    try:
        import resource  # noqa: PLC0415 # Windows has none
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
