"""Converts pages of CSV to a file: `python -m bulkport.imports.exports.writers.process ORDER` (ORDER is JSON).

Standard input has the pages, each behind its length in four bytes (big endian); standard output gets the file. What
goes wrong is said on standard error, with exit status 3.
"""

import json
import os
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

from bulkport.imports.exports.writers.errors import UnfitError

FAILED: Final = 3
UNFIT: Final = 4
"""Exit status where the rows do not fit into the file."""
END: Final = b"\x00\x00\x00\x00"
"""Follows the last page."""


def main() -> None:
    """Write the file that the order describes."""
    order: dict[str, Any] = json.loads(sys.argv[1])
    _limit(order["memory_bytes"])
    try:
        if order["format"] == "parquet":
            from bulkport.imports.exports.writers.parquet import write_parquet  # noqa: PLC0415

            write_parquet(order["columns"], _pages(sys.stdin.buffer), sys.stdout.buffer)
        else:
            from bulkport.imports.exports.writers.excel import write_workbook  # noqa: PLC0415

            pages = _pages(sys.stdin.buffer)
            options = {"null_word": order["null_word"], "folder": order["folder"]}
            write_workbook(order["columns"], pages, sys.stdout.buffer, **options)
    except UnfitError as error:
        sys.stderr.write(str(error))
        sys.stderr.flush()
        os._exit(UNFIT)
    except Exception as error:  # whatever a value does to a writer, the server gets it
        sys.stderr.write(f"{type(error).__name__}: {error}"[:1000])
        sys.stderr.flush()
        os._exit(FAILED)  # without what is buffered: the answer has not begun where nothing went out
    sys.stdout.buffer.flush()


def _pages(stream: BinaryIO) -> Iterator[bytes]:
    while (size := stream.read(4)) != END:
        page = stream.read(int.from_bytes(size, "big"))
        if len(size) < 4 or len(page) < int.from_bytes(size, "big"):
            raise ValueError("the rows could not be read to their end")
        yield page


def _limit(memory_bytes: int) -> None:
    try:
        import resource  # noqa: PLC0415 # Windows has none
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
