"""Tracebacks as a developer reads them: the error, the application's last frame first, library frames folded."""

import re
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_FRAME: Final = re.compile(r'^  File "(?P<path>[^"]+)", line (?P<line>\d{1,9}), in (?P<function>.+)$')
_BEGINNING: Final = "Traceback (most recent call last):"
_STANDARD: Final = sysconfig.get_paths()["stdlib"]
_LIBRARY_PARTS: Final = ("/site-packages/", "/dist-packages/", "/bulkport/src/bulkport/", "/lib/python3")
_SHOWN_PARTS: Final = 3


@dataclass(frozen=True, slots=True)
class Frame:
    """One call of the stack."""

    path: str
    line: int
    function: str
    code: str
    """The source line, if available."""

    @property
    def is_library(self) -> bool:
        """Whether it is not the application's own code."""
        path = self.path.replace("\\", "/")
        return path.startswith((_STANDARD, "<frozen ")) or any(part in path for part in _LIBRARY_PARTS)

    @property
    def place(self) -> str:
        """The end of its path, and the line."""
        return f"{'/'.join(self.path.replace(chr(92), '/').split('/')[-_SHOWN_PARTS:])}:{self.line}"


@dataclass(frozen=True, slots=True)
class FrameGroup:
    """Frames that follow each other, the innermost first: all of the application, or all of libraries."""

    frames: Sequence[Frame]
    is_library: bool


@dataclass(frozen=True, slots=True)
class Traceback:
    """A traceback to be shown."""

    error: str
    """Its last line: type and message."""
    groups: Sequence[FrameGroup]
    """The innermost first; without frames of libraries beyond the application's last."""
    text: str
    """The full traceback as Python wrote it."""


def read_traceback(text: str) -> Traceback:
    """A traceback from its text; of chained exceptions the frames are those of the last."""
    lines = text.rstrip().splitlines()
    last = max((place for place, line in enumerate(lines) if line.startswith(_BEGINNING)), default=0)
    frames: list[Frame] = []
    for place in range(last, len(lines)):
        found = _FRAME.match(lines[place])
        if found is not None:
            following = lines[place + 1].strip() if place + 1 < len(lines) else ""
            code = "" if following.startswith("File ") or not lines[place + 1 : place + 2] else following
            is_source = bool(lines[place + 1 : place + 2]) and lines[place + 1].startswith("    ")
            frames.append(Frame(found["path"], int(found["line"]), found["function"], code if is_source else ""))
    return Traceback(_error(lines[last:]), _grouped(frames[::-1]), text)


def _error(lines: Sequence[str]) -> str:
    """The first line after the frames that is not indented."""
    own = [line for line in lines if line and not line.startswith((" ", _BEGINNING))]
    return own[0] if own else ""


def _grouped(frames: Sequence[Frame]) -> list[FrameGroup]:
    groups: list[FrameGroup] = []
    for frame in frames:
        if groups and groups[-1].is_library == frame.is_library:
            groups[-1] = FrameGroup([*groups[-1].frames, frame], frame.is_library)
        else:
            groups.append(FrameGroup([frame], frame.is_library))
    return groups
