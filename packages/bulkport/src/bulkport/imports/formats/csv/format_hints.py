"""Hints for error messages: what a body sent as CSV may be instead."""

from typing import Final

_STARTS: Final = {
    ("{", "["): " If the body is JSON, send it with a JSON Content-Type.",
    ("<",): " The body looks like HTML or XML, as some programs write into files called .xls; save it as .xlsx or CSV.",
    ("%PDF",): " The body is a PDF; save the table as .xlsx or CSV.",
    ("{\\rtf",): " The body is a document; save the table as .xlsx or CSV.",
    ("ID;P",): " The body is a SYLK file; save the table as .xlsx or CSV.",
    ("PGCOPY",): " The body is binary COPY; write it with FORMAT csv, HEADER.",
    ("INSERT INTO", "CREATE TABLE", "-- MySQL dump", "-- PostgreSQL database dump", "COPY "): (
        " The body looks like SQL; export the table as CSV with a header."
    ),
    ("- ", "%YAML"): " The body looks like YAML; send it as JSON or CSV.",
    ("SQLite format 3",): " The body is a SQLite database; export the table as CSV with a header.",
    ("ARROW1", "PAR1"): " The body is binary; send Parquet with its own Content-Type.",
}


def format_hint(first_line: str) -> str:
    """A hint for a body that begins with this line, or an empty string."""
    text = first_line.lstrip()
    found = [hint for starts, hint in _STARTS.items() if text.startswith(starts)]
    return found[-1] if found else ""
