"""Files that a client writes."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from bulkport.client.errors import TargetUnusable


@contextlib.contextmanager
def growing_file(path: str | Path) -> Iterator[BinaryIO]:
    """A file that appears under its name when it is complete.

    Raises
    ------
    TargetUnusable
        It cannot be written.
    """
    target = Path(path)
    partial = _partial(target)
    try:
        with _as_target(target):
            with partial.open("wb") as file:
                yield file
            partial.replace(target)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def require_writable(path: Path) -> None:
    """Check that a file can be written that is to come later; raises TargetUnusable."""
    with _as_target(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        partial = _partial(path)
        partial.touch()
        partial.unlink()


def _partial(target: Path) -> Path:
    return target.with_name(target.name + ".part")


@contextlib.contextmanager
def _as_target(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TargetUnusable(f"{target} cannot be written: {error.strerror or error}.") from error
