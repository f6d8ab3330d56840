"""An opened source, and the errors of opening one."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from bulkport.pulls.source import FileKind, Source


class SourceRefused(Exception):
    """The source cannot be read, and retrying does not help; the message says why."""


class SourceUnavailable(Exception):
    """The source cannot be read now.

    Parameters
    ----------
    retry_after
        Seconds after which its server asks to be retried, if it said so.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Version:
    """Identifies the version of a source; empty if the source has no versions."""

    etag: str | None = None
    last_modified: str | None = None
    """As HTTP writes it (RFC 9110 §5.6.7), or ISO 8601 for a store."""


@dataclass(frozen=True, slots=True)
class OpenedSource:
    """A source whose body can be read."""

    kind: FileKind
    version: Version
    size: int | None
    """Bytes, if known in advance."""
    body: AsyncIterator[bytes] = field(repr=False)
    """Raises SourceUnavailable when it breaks before its end."""


class SourceReader(Protocol):
    """Opens sources of one kind."""

    def open(self, source: Source) -> AbstractAsyncContextManager[OpenedSource]:
        """Open a source; raises SourceRefused, SourceUnavailable, or UnsupportedMediaType for an unknown format."""
        ...

    async def is_unchanged(self, source: Source, known: Version) -> bool:
        """Whether a source is as it was; False also where that is not known, or it cannot be read."""
        ...
