r"""Line ends that are no `\n` and no `\r\n`: carriage returns alone, or doubled ones.

Files of old Macintoshes have carriage returns alone, which become newlines. `\r\r\n` comes of programs on Windows that
write `\r\n` into a file opened as text. Inside quotes of CSV both are left as they are. A body has such line ends when
all of its beginning has, outside quotes.
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
        Around text that may have line ends of its own; empty if there is none.
    """
    head = head[:_LOOKED_AT]
    if b"\r" not in head:
        return False
    outside = _outside(head, quote)
    # The last one may be the first half of a pair that is cut.
    return b"\n" not in outside and b"\r" in outside[:-1]


def ends_lines_with_two_crs(head: bytes, quote: bytes = b'"') -> bool:
    r"""Whether the lines of a body end with `\r\r\n`; the parameters are those of `ends_lines_with_cr`."""
    head = head[:_LOOKED_AT]
    if b"\r\r\n" not in head:
        return False
    outside = _outside(head, quote)
    return 0 < outside.count(b"\n") == outside.count(b"\r\r\n")


def _outside(head: bytes, quote: bytes) -> bytes:
    return b"".join(head.split(quote)[::2]) if quote and quote in head else head


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


class DoubledReturns:
    r"""Makes one carriage return of two outside quotes."""

    def __init__(self, quote: bytes = b'"') -> None:
        self._quote = quote
        self._is_inside = False
        self._ends_with_one = False

    def feed(self, data: bytes) -> bytes:
        """The data with one."""
        parts = data.split(self._quote) if self._quote else [data]
        for position in range(int(self._is_inside), len(parts), 2):
            parts[position] = parts[position].replace(b"\r\r", b"\r")
        if self._ends_with_one and parts[0].startswith(b"\r"):  # the second one of two that were cut apart
            parts[0] = parts[0][1:]
        if len(parts) % 2 == 0:
            self._is_inside = not self._is_inside
        if data:
            self._ends_with_one = not self._is_inside and data.endswith(b"\r") and not data.endswith(b"\r\r")
        return self._quote.join(parts)
