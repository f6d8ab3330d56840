r"""Line ends of old Macintosh files: carriage returns alone, which become newlines.

Inside quotes of CSV they are left as they are. A body has such line ends when its beginning has carriage returns and no
newline outside quotes.
"""

from typing import Final

_LOOKED_AT: Final = 64 * 1024


def ends_lines_with_cr(head: bytes, quote: bytes = b'"') -> bool:
    """Whether the lines of a body end with carriage returns alone.

    Parameters
    ----------
    head:
        The beginning of the body, in UTF-8.
    quote:
        Around text that may have line ends of its own; empty where there is none.
    """
    head = head[:_LOOKED_AT]
    if b"\r" not in head:
        return False
    outside = b"".join(head.split(quote)[::2]) if quote and quote in head else head
    # The last one may be the first half of a pair that is cut.
    return b"\n" not in outside and b"\r" in outside[:-1]


class CarriageReturns:
    """Makes newlines of the carriage returns outside quotes."""

    def __init__(self, quote: bytes = b'"') -> None:
        self._quote = quote
        self._is_inside = False

    def feed(self, data: bytes) -> bytes:
        """The data with newlines."""
        if not self._quote or (self._quote not in data and not self._is_inside):
            return data.replace(b"\r", b"\n")
        parts = data.split(self._quote)
        for position in range(int(self._is_inside), len(parts), 2):
            parts[position] = parts[position].replace(b"\r", b"\n")
        if len(parts) % 2 == 0:
            self._is_inside = not self._is_inside
        return self._quote.join(parts)
