"""Which imports are short: their work is done in some milliseconds, and they wait for no long one."""

from typing import Final

_MOST_ROWS: Final = 200
_MOST_BYTES: Final = 64 * 1024


def is_short(chunks: int, rows: int, stored_bytes: int) -> bool:
    """Whether an import of so many chunks, rows and bytes, as they are stored, is short."""
    return chunks == 1 and rows <= _MOST_ROWS and stored_bytes <= _MOST_BYTES
