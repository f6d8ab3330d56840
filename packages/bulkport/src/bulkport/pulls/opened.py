"""What opening a source gives, and how it fails."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from bulkport.pulls.source import FileKind, Source


class SourceRefused(Exception):
    """The source cannot be read, and to try again would not help: the message says why."""


class SourceUnavailable(Exception):
    """The source cannot be read now.

    Parameters
    ----------
    retry_after
        Seconds after which its server wants to be asked again, if it said so.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Version:
    """By what a source is known to be the same as before. Empty: by nothing."""

    etag: str | None = None
    last_modified: str | None = None
    """As HTTP writes it (RFC 9110 §5.6.7), or ISO 8601 for a store."""


@dataclass(frozen=True, slots=True)
class OpenedSource:
    """A source whose body is about to be read."""

    kind: FileKind
    version: Version
    size: int | None
    """Bytes, where they are known beforehand."""
    body: AsyncIterator[bytes] = field(repr=False)
    """Raises SourceUnavailable when it breaks before its end."""


class SourceReader(Protocol):
    """Opens sources of one kind."""

    def open(self, source: Source) -> AbstractAsyncContextManager[OpenedSource]:
        """Open a source; raises SourceRefused or SourceUnavailable, and UnsupportedMediaType for what it cannot be."""
        ...

    async def is_unchanged(self, source: Source, known: Version) -> bool:
        """Whether a source is as it was; False also where that is not known, or it cannot be read."""
        ...
