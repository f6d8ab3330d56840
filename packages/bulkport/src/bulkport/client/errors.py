"""Errors of the client."""

from collections.abc import Mapping, Sequence
from typing import Final

from bulkport.errors import BulkportError

_SHOWN_MESSAGES: Final = 5


class ClientError(BulkportError):
    """The client could not complete the call."""


class SourceUnusable(ClientError):
    """The file to be sent cannot be read."""


class TargetUnusable(ClientError):
    """The file that was to be written cannot be."""


class ServerUnreachable(ClientError):
    """The server cannot be reached, or has stopped answering."""


class UploadLost(ClientError):
    """The connection was lost while a body was being sent, or before its answer came."""

    def __init__(self, detail: str, *, may_be_accepted: bool) -> None:
        super().__init__(detail)
        self.may_be_accepted = may_be_accepted
        """Whether the whole body had been sent, so that the import may exist."""


class UnexpectedAnswer(ClientError):
    """The server answered in a way that no Bulkport server does."""


class RequestRefused(ClientError):
    """The server refused the request and said why.

    Parameters
    ----------
    http_status:
        Status of the answer, 400 to 599.
    title, detail, errors:
        What its problem body says (RFC 9457); `errors` goes from field paths to messages.
    trace_id:
        Finds the request in the server's log.
    """

    def __init__(
        self,
        http_status: int,
        *,
        title: str,
        detail: str,
        errors: Mapping[str, Sequence[str]] | None = None,
        trace_id: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.http_status = http_status
        self.refusal = title
        self.errors = {path: list(messages) for path, messages in (errors or {}).items()}
        self.trace_id = trace_id

    def __str__(self) -> str:
        """The detail, with the first messages about fields."""
        found = [message for messages in self.errors.values() for message in messages]
        if not found:
            return self.detail
        more = f" (and {len(found) - _SHOWN_MESSAGES:,} more)" if len(found) > _SHOWN_MESSAGES else ""
        return f"{self.detail.removesuffix('.')}: {'; '.join(found[:_SHOWN_MESSAGES])}{more}"
