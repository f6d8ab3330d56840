"""Every error that Bulkport raises on purpose, as one tree under `BulkportError`.

The docstring of a class is its default message. What an error becomes over HTTP `bulkport.fastapi.answers` says.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class BulkportError(Exception):
    """The request could not be carried out."""

    title: ClassVar[str] = "Internal error"
    """Short summary that is the same for every occurrence."""

    def __init__(self, detail: str | None = None) -> None:
        self.detail = detail or (type(self).__doc__ or "").strip().splitlines()[0]
        super().__init__(self.detail)

    def members(self) -> Mapping[str, Any]:
        """Further facts of this occurrence by name; none by default."""
        return {}


class ResourceDeclarationError(BulkportError):
    """A resource is declared in a way that cannot work."""


class BadRequest(BulkportError):
    """The request is malformed."""

    title = "Bad request"


class ValidationFailed(BulkportError):
    """One or more validation errors occurred."""

    title = "Validation failed"

    def __init__(self, errors: Mapping[str, Sequence[str]], detail: str | None = None) -> None:
        super().__init__(detail)
        self.errors = {path: list(messages) for path, messages in errors.items()}

    def members(self) -> Mapping[str, Any]:
        return {"errors": self.errors}


class MalformedBody(BadRequest):
    """The body is not what its Content-Type says."""

    title = "Malformed body"


class CorruptCompression(BadRequest):
    """The compressed body is corrupt or ends too early."""

    title = "Corrupt compressed body"


class CsvHeaderError(BadRequest):
    """The CSV header row does not fit the resource."""

    title = "Unusable CSV header"


class UploadInterrupted(BadRequest):
    """The body ended before it was complete; nothing was kept."""

    title = "Upload interrupted"


class UploadTimedOut(BulkportError):
    """The body arrived too slowly; nothing was kept."""

    title = "Upload timed out"


class AuthenticationRequired(BulkportError):
    """The request does not say who you are."""

    title = "Unauthorized"


class Forbidden(BulkportError):
    """This belongs to another user."""

    title = "Forbidden"


class InsufficientScope(Forbidden):
    """This key may not do that."""

    title = "Insufficient scope"


class NotFound(BulkportError):
    """There is nothing at this address."""

    title = "Not found"


class JobNotFound(NotFound):
    """Job not found"""

    def members(self) -> Mapping[str, Any]:
        return {"message": "Job not found"}


class Conflict(BulkportError):
    """The request conflicts with the current state."""

    title = "Conflict"


class TooManyUploads(Conflict):
    """You have as many unfinished uploads, or bytes of them, as one may have; finish or delete one first."""

    title = "Too many uploads"


class UploadConflict(Conflict):
    """Another request has appended to this upload; ask how much of it has arrived, and go on from there."""

    title = "Upload conflict"


class ChecksumMismatch(BulkportError):
    """The body has another checksum than was sent; nothing of it was kept."""

    title = "Checksum mismatch"


class DigestMismatch(BadRequest):
    """The body is not the one whose digest was sent; nothing was kept."""

    title = "Digest mismatch"


class IdempotencyKeyInUse(Conflict):
    """The first request with this Idempotency-Key is still being received; ask again shortly."""

    title = "Idempotency-Key in use"


class IdempotencyKeyReused(BulkportError):
    """This Idempotency-Key was used for another request: send the same one again, or take a new key."""

    title = "Idempotency-Key reused"


class ClientIdTaken(Conflict):
    """Another import of yours has this clientId."""

    title = "clientId taken"


class TooManyWebhooks(Conflict):
    """You have as many webhooks as one may have; delete one first."""

    title = "Too many webhooks"


class NotEnded(Conflict):
    """The import has not ended yet; its rejected rows can be sent again when it has."""

    title = "Import has not ended"


class AlreadyUndone(Conflict):
    """The import was undone already."""

    title = "Import was undone"


class CannotUndo(Conflict):
    """The table has triggers, and the ids of the import's rows were not kept: send imports with ?results=ids."""

    title = "Import cannot be undone"


class NoResults(Conflict):
    """What became of the import's rows was not kept: send imports with ?results=ids."""

    title = "No results were kept"


class RowsRetried(Conflict):
    """The rejected rows were sent again already, in another import."""

    title = "Rows were sent again"


class AlreadyEnded(Conflict):
    """The import has ended already."""

    title = "Import has ended"


class TooLarge(BulkportError):
    """The body is larger than this server accepts."""

    title = "Content too large"


class RecordTooLarge(TooLarge):
    """One record is larger than this server accepts."""


class DecompressionBomb(TooLarge):
    """The compressed body expands beyond what this server accepts."""


class BodyTooCostly(TooLarge):
    """Reading the body takes more time than this server spends on one."""


class TooManyRequests(BulkportError):
    """You have sent more requests than one user may; wait a moment."""

    title = "Too many requests"

    def __init__(self, detail: str | None = None, *, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class TooManyUploadsAtOnce(TooManyRequests):
    """You have as many uploads under way as one user may have; try again when one has ended."""


class TooManyQueued(TooManyRequests):
    """As much of yours waits to be imported as may wait of one user; try again when some of it is done."""


class InsufficientStorage(BulkportError):
    """The server is short of disk space; nothing was kept. Try again later."""

    title = "Insufficient storage"


class QuotaExceeded(InsufficientStorage):
    """What is stored of yours takes as much space as it may; nothing was kept."""

    title = "Quota exceeded"


class UriTooLong(BulkportError):
    """The address is longer than this server accepts."""

    title = "URI too long"


class HeadersTooLarge(BulkportError):
    """The headers are larger than this server accepts."""

    title = "Request header fields too large"


class UnsupportedMediaType(BulkportError):
    """This Content-Type or Content-Encoding is not supported."""

    title = "Unsupported media type"


class NotConfigured(BulkportError):
    """This function is switched off until it is configured."""

    title = "Not configured"


class ServiceUnavailable(BulkportError):
    """The server is too busy or its database is away; try again shortly."""

    title = "Service unavailable"


class StagingUnavailable(ServiceUnavailable):
    """The store that has the bytes of uploads does not answer; send the request again."""

    title = "Store of uploads is unavailable"


class TooManyWatchers(ServiceUnavailable):
    """As many imports are followed as this server allows; ask for the status from time to time instead."""
