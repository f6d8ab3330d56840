"""What a body that is sent as CSV may be instead: the rest of a message."""

from typing import Final

_STARTS: Final = {
    ("{", "["): " Is the body JSON? Then its Content-Type is another.",
    ("<",): " The body looks like HTML or XML, as some programs write into files called .xls; save it as .xlsx or CSV.",
    ("%PDF",): " The body is a PDF; save the table as .xlsx or CSV.",
    ("{\\rtf",): " The body is a document; save the table as .xlsx or CSV.",
}


def other_kind(first_line: str) -> str:
    """A hint for a body that begins with this line, or nothing."""
    text = first_line.lstrip()
    found = [hint for starts, hint in _STARTS.items() if text.startswith(starts)]
    return found[-1] if found else ""
