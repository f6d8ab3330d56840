"""Counts the processes that use the data folder with kernel locks, so that a killed process is never counted.

There are two lock files. A process that is starting or stopping the server holds `starting.lock` exclusively. Every
process that uses the server holds `users.lock` shared; one that leaves and can upgrade it to an exclusive lock was the
last. The kernel releases the locks of a dead process.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

with suppress(ImportError):  # on Windows, which `find_programs` refuses with an explanation
    import fcntl


class DataFolderUse:
    """This process's use of a data folder; a context manager."""

    def __init__(self, data_dir: Path) -> None:
        self._starting_path = data_dir / "starting.lock"
        self._users_path = data_dir / "users.lock"
        self._users_descriptor: int | None = None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait for, and hold, the exclusive right to start or stop the server."""
        descriptor = os.open(self._starting_path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def join(self) -> None:
        """Count as a user from now on. Call it while `alone`."""
        if self._users_descriptor is None:
            self._users_descriptor = os.open(self._users_path, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._users_descriptor, fcntl.LOCK_SH)

    def is_last(self) -> bool:
        """Whether no other user is left. Call it while `alone`, so that none can join."""
        if self._users_descriptor is None:
            return False
        try:
            fcntl.flock(self._users_descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def leave(self) -> None:
        """Count no longer."""
        if self._users_descriptor is not None:
            os.close(self._users_descriptor)
            self._users_descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()
