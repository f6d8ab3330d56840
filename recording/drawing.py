"""The session as an SVG whose lines appear as recorded; without motion in print and for reduced motion."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

from recording.session import COLUMNS, Line

_LINE: Final = 19
_CHARACTER: Final = 7.85
_MARGIN: Final = 16
_STYLE: Final = """
text {
  font: 13px ui-monospace, 'SF Mono', 'Cascadia Mono', 'DejaVu Sans Mono', monospace;
  fill: #e6e9ee; white-space: pre;
}
.typed { fill: #7c9bff; }
@media (prefers-reduced-motion: no-preference) {
  text { animation: appear .01s linear both; }
  @keyframes appear { from { opacity: 0; } to { opacity: 1; } }
}"""


def write_drawing(lines: Sequence[Line], file: Path) -> None:
    """Write the picture; its last moment has all lines."""
    width, height = round(COLUMNS * _CHARACTER + 2 * _MARGIN), len(lines) * _LINE + 2 * _MARGIN
    texts = "\n".join(
        f'<text class="{"typed" if line.typed_seconds else "printed"}" x="{_MARGIN}" '
        f'y="{_MARGIN + _LINE * (place + 1) - 5}" style="animation-delay: {line.at:.2f}s">{escape(line.text)}</text>'
        for place, line in enumerate(lines)
    )
    file.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="A terminal session: two files are imported">\n<style>{_STYLE}\n</style>\n'
        f'<rect width="{width}" height="{height}" rx="8" fill="#12161b"/>\n{texts}\n</svg>\n',
        encoding="utf-8",
    )
