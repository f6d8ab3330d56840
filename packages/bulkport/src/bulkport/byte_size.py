"""Formats sizes in bytes for people."""

from typing import Final

DECIMAL: Final = (1000, ("bytes", "kB", "MB", "GB", "TB"))
"""Units of files and disks (SI)."""
BINARY: Final = (1024, ("B", "KiB", "MiB", "GiB", "TiB"))
"""Units of memory (IEC 80000-13)."""


def byte_size(count: float, units: tuple[int, tuple[str, ...]] = DECIMAL) -> tuple[str, str]:
    """A number and its unit: `32.1` and `MB`."""
    base, names = units
    place = 0
    while count >= base - 0.05 and place < len(names) - 1:
        count /= base
        place += 1
    return f"{count:.{0 if place == 0 else 1}f}", names[place]
