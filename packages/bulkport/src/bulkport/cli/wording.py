"""Formats numbers and untrusted text for a terminal."""

import unicodedata

from bulkport.byte_size import byte_size


def sized(count: float) -> str:
    """A size in bytes with its unit (`32.1 MB`); units are decimal, as a disk's are."""
    return " ".join(byte_size(count))


def lasting(seconds: float) -> str:
    """A duration: `0.34 s`, `12.1 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 100:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def counted(count: int, noun: str) -> str:
    """A number with its noun: `1 row`, `32,136 rows`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def harmless(text: str, *, longest: int = 300) -> str:
    """Text that someone else wrote, on one line, without characters that steer a terminal (ECMA-48)."""
    cut = text if len(text) <= longest else text[: longest - 1] + "…"
    return "".join(" " if letter in "\t\r\n" else letter if _is_visible(letter) else "�" for letter in cut)


def _is_visible(letter: str) -> bool:
    return unicodedata.category(letter) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
