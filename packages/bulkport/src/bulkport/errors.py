"""The errors that Bulkport raises, as one tree under `BulkportError`.

The docstring of a class is its default message. `bulkport.fastapi.error_responses` maps errors to HTTP responses.
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
        """Additional members of the problem by name; none by default."""
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
    """The body ended before it was complete; nothing was stored."""

    title = "Upload interrupted"


class UploadTimedOut(BulkportError):
    """The body arrived too slowly; nothing was stored."""

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
    """You have reached the limit of unfinished uploads or their total size; finish or delete one first."""

    title = "Too many uploads"


class UploadConflict(Conflict):
    """Another request has appended to this upload; ask for its current offset and continue from there."""

    title = "Upload conflict"


class ChecksumMismatch(BulkportError):
    """The body does not match its checksum; nothing of it was stored."""

    title = "Checksum mismatch"


class DigestMismatch(BadRequest):
    """The body does not match its digest; nothing was stored."""

    title = "Digest mismatch"


class IdempotencyKeyInUse(Conflict):
    """The first request with this Idempotency-Key is still being received; ask again shortly."""

    title = "Idempotency-Key in use"


class IdempotencyKeyReused(BulkportError):
    """This Idempotency-Key was used for a different request: repeat that request, or use a new key."""

    title = "Idempotency-Key reused"


class ClientIdTaken(Conflict):
    """Another import of yours has this clientId."""

    title = "clientId taken"


class TooManyWebhooks(Conflict):
    """You have reached the limit of webhooks; delete one first."""

    title = "Too many webhooks"


class NotEnded(Conflict):
    """The import has not finished; its rejected rows can be retried once it has."""

    title = "Import has not finished"


class AlreadyUndone(Conflict):
    """The import was already undone."""

    title = "Import already undone"


class CannotUndo(Conflict):
    """The table has triggers, and the import did not store row ids: send imports with ?results=ids."""

    title = "Import cannot be undone"


class NoResults(Conflict):
    """The import stored no results: send imports with ?results=ids."""

    title = "No results stored"


class RowsRetried(Conflict):
    """The rejected rows were already retried, in another import."""

    title = "Rows already retried"


class NothingToRetry(Conflict):
    """The import has no rejected rows left."""

    title = "Nothing to retry"


class AlreadyEnded(Conflict):
    """The import has already finished."""

    title = "Import already finished"


class TooLarge(BulkportError):
    """The body is larger than this server accepts."""

    title = "Content too large"


class RecordTooLarge(TooLarge):
    """One record is larger than this server accepts."""


class DecompressionBomb(TooLarge):
    """The compressed body expands beyond what this server accepts."""


class BodyTooCostly(TooLarge):
    """Reading the body takes more processor time than this server allows."""


class TooManyRequests(BulkportError):
    """You have sent too many requests; wait a moment."""

    title = "Too many requests"

    def __init__(self, detail: str | None = None, *, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class TooManyUploadsAtOnce(TooManyRequests):
    """You have too many concurrent uploads; try again when one has finished."""


class TooManyQueued(TooManyRequests):
    """You have reached the limit of queued imports; try again when some have finished."""


class InsufficientStorage(BulkportError):
    """The server is low on disk space; nothing was stored. Try again later."""

    title = "Insufficient storage"


class QuotaExceeded(InsufficientStorage):
    """You have used up your storage quota; nothing was stored."""

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
    """This feature is off until it is configured."""

    title = "Not configured"


class ServiceUnavailable(BulkportError):
    """The server is too busy or its database is unavailable; try again shortly."""

    title = "Service unavailable"


class StagingUnavailable(ServiceUnavailable):
    """The object store for uploads does not respond; repeat the request."""

    title = "Upload store unavailable"


class TooManyWatchers(ServiceUnavailable):
    """The server has reached its limit of followed imports; poll the status instead."""
