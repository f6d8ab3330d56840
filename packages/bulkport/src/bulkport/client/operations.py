"""What a client asks and what it makes of the answers, apart from how requests are sent.

Each operation is a generator: it yields requests, is sent their responses, and returns its result. The synchronous and
the asynchronous client run the same ones.
"""

import json
import uuid
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, TypedDict, TypeVar, Unpack

import httpx

from bulkport.client.answers import AcceptedImport, BadRowPage, ImportPage, ImportProgress, RowResultPage, decode
from bulkport.client.bodies import BodyKind, Source
from bulkport.client.records import AsyncRecordSource
from bulkport.imports.formats.prefer_header import Handling

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """A request to send."""

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    source: Source | AsyncRecordSource | None = None
    """The body."""
    content: bytes | None = None
    """A small body, in place of `source`."""
    is_repeatable: bool = True
    """Whether it does no harm to send it again when nobody knows what became of it."""


Operation: TypeAlias = Generator[Call, httpx.Response, T]

_LONG_POLL_SECONDS: Final = 20


class Wishes(TypedDict, total=False):
    """What a client says of an import beside its body; see `Imports.create`."""

    handling: Handling | str | None
    name: str | None
    client_id: str | None
    metadata: Mapping[str, Any] | None
    idempotency_key: str | None
    options: Mapping[str, Any]


def create(
    resource: str, source: Source | AsyncRecordSource, kind: BodyKind, **wishes: Unpack[Wishes]
) -> Operation[AcceptedImport]:
    """Send a body to import.

    The request has an idempotency key, the caller's or one of its own: sent again after a broken connection, it imports
    nothing twice.
    """
    headers = {**kind.headers, "Idempotency-Key": wishes.get("idempotency_key") or str(uuid.uuid4())}
    if (handling := wishes.get("handling")) is not None:
        headers["Prefer"] = f"handling={Handling(handling)}"
    if (metadata := wishes.get("metadata")) is not None:
        headers["X-Import-Metadata"] = json.dumps(metadata)
    if source.size is not None:
        headers["Content-Length"] = str(source.size)
    labels = {"delimiter": kind.delimiter, "name": wishes.get("name"), "clientId": wishes.get("client_id")}
    params = {**labels, **_query(wishes.get("options", {}))}
    response = yield Call(
        "POST",
        f"/api/{resource}/bulk",
        params={key: value for key, value in params.items() if value is not None},
        headers=headers,
        source=source,
        is_repeatable=source.is_replayable,
    )
    return decode(response, AcceptedImport)


def get(import_id: int, *, wait_seconds: int = 0) -> Operation[ImportProgress]:
    """Where an import stands, when it has ended or after `wait_seconds`."""
    params = {"wait": str(min(wait_seconds, _LONG_POLL_SECONDS))} if wait_seconds else {}
    response = yield Call("GET", f"/api/imports/{import_id}", params=params)
    return decode(response, ImportProgress)


def list_page(filters: Mapping[str, Any], cursor: str | None, limit: int) -> Operation[ImportPage]:
    """One page of imports."""
    params = {**_query(filters), "limit": str(limit)} | ({} if cursor is None else {"cursor": cursor})
    response = yield Call("GET", "/api/imports", params=params)
    return decode(response, ImportPage)


def errors_page(import_id: int, cursor: str | None, limit: int) -> Operation[BadRowPage]:
    """One page of the rows that were not imported."""
    params = {"limit": str(limit)} | ({} if cursor is None else {"cursor": cursor})
    response = yield Call("GET", f"/api/imports/{import_id}/errors", params=params)
    return decode(response, BadRowPage)


def results_page(import_id: int, cursor: str | None, limit: int) -> Operation[RowResultPage]:
    """One page of what became of the rows."""
    params = {"limit": str(limit)} | ({} if cursor is None else {"cursor": cursor})
    response = yield Call("GET", f"/api/imports/{import_id}/results", params=params)
    return decode(response, RowResultPage)


def retry(
    import_id: int, source: Source | AsyncRecordSource | None, kind: BodyKind | None
) -> Operation[AcceptedImport]:
    """Send the rejected rows of an import again, or what takes their place."""
    headers = {"Idempotency-Key": str(uuid.uuid4()), **(kind.headers if kind else {})}
    if source is not None and source.size is not None:
        headers["Content-Length"] = str(source.size)
    params = {"delimiter": kind.delimiter} if kind and kind.delimiter else {}
    response = yield Call(
        "POST",
        f"/api/imports/{import_id}/retry",
        params=params,
        headers=headers,
        source=source,
        is_repeatable=source is None or source.is_replayable,
    )
    return decode(response, AcceptedImport)


def mend(import_id: int, row: int, record: Mapping[str, Any]) -> Operation[None]:
    """Replace a rejected row by a mended record, for the next retry."""
    response = yield Call(
        "PATCH",
        f"/api/imports/{import_id}/errors/{row}",
        headers={"Content-Type": "application/json"},
        content=json.dumps(record).encode(),
    )
    if not response.is_success:
        decode(response, AcceptedImport)


def cancel(import_id: int) -> Operation[ImportProgress]:
    """Cancel an import."""
    response = yield Call("DELETE", f"/api/imports/{import_id}")
    return decode(response, ImportProgress)


def check_access() -> Operation[None]:
    """Ask whether the server is there and knows the key."""
    response = yield Call("GET", "/api/imports", params={"limit": "1"})
    decode(response, ImportPage)


def export_call(resource: str, export_format: str, search: str | None) -> Call:
    """The request for an export, whose answer is streamed."""
    params = {"format": export_format} | ({} if search is None else {"search": search})
    return Call("GET", f"/api/{resource}/export", params=params)


def errors_call(import_id: int, media_type: str) -> Call:
    """The request for the whole report of an import's bad rows, whose answer is streamed."""
    return Call("GET", f"/api/imports/{import_id}/errors", headers={"Accept": media_type})


def _query(options: Mapping[str, Any]) -> dict[str, str]:
    """Options as query parameters: `dry_run=True` is `dryRun=true`."""
    query: dict[str, str] = {}
    for key, value in options.items():
        if value is None or value is False:
            continue
        first, *rest = key.split("_")
        camel = first + "".join(word.title() for word in rest)
        query[camel] = "true" if value is True else json.dumps(value) if isinstance(value, Mapping) else str(value)
    return query
