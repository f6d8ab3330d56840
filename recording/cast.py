"""The session as an asciicast, version 2 (docs.asciinema.org/manual/asciicast/v2)."""

import json
from collections.abc import Sequence
from pathlib import Path

from recording.session import COLUMNS, Line


def write_cast(lines: Sequence[Line], file: Path) -> None:
    """Write timed output, character by character where it was typed."""
    events: list[tuple[float, str]] = []
    for line in lines:
        if line.typed_seconds:
            step = line.typed_seconds / len(line.text)
            events += [(line.at + step * place, character) for place, character in enumerate(line.text)]
            events.append((line.at + line.typed_seconds, "\r\n"))
        else:
            events.append((line.at, f"{line.text}\r\n"))
    header = {"version": 2, "width": COLUMNS, "height": len(lines) + 1, "title": "Two imports with the command line"}
    told = [json.dumps(header), *(json.dumps([round(at, 3), "o", text]) for at, text in events)]
    file.write_text("\n".join(told) + "\n", encoding="utf-8")
