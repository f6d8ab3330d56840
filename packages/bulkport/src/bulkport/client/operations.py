"""Operations of the client: their requests and how responses are read, independent of the transport.

Each operation is a generator: it yields requests, is sent their responses, and returns its result. A request that could
not be carried out is thrown into it. The synchronous and the asynchronous client run the same ones.
"""

import json
import uuid
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeAlias, TypedDict, TypeVar, Unpack

import httpx

from bulkport.client.bodies import BodyKind, Source
from bulkport.client.records import AsyncRecordSource
from bulkport.client.responses import (
    AcceptedImport,
    BadRowPage,
    ImportPage,
    ImportProgress,
    RowResultPage,
    checked,
    decode,
)
from bulkport.imports.formats.prefer_header import Handling

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """A request to send."""

    method: str
    path: str
    """Path below the prefix of the API."""
    params: Mapping[str, str | list[str]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    source: Source | AsyncRecordSource | None = None
    """The body."""
    content: bytes | None = None
    """A small body, in place of `source`."""
    is_repeatable: bool = True
    """Whether it is safe to retry if its outcome is unknown."""
    pause_seconds: float = 0.0
    """How long to wait before it."""
    sent_before: int = 0
    """Bytes of the whole that earlier requests have sent."""


Operation: TypeAlias = Generator[Call, httpx.Response, T]

_LONG_POLL_SECONDS: Final = 20


class Wishes(TypedDict, total=False):
    """What a client says of an import background_task its body; see `Imports.create`."""

    handling: Handling | str | None
    name: str | None
    client_id: str | None
    metadata: Mapping[str, Any] | None
    tags: Sequence[str]
    idempotency_key: str | None
    options: Mapping[str, Any]


def create(
    resource: str, source: Source | AsyncRecordSource, kind: BodyKind, **wishes: Unpack[Wishes]
) -> Operation[AcceptedImport]:
    """Send a body to import.

    The request has an idempotency key, the caller's or one of its own: sent again after a broken connection, it imports
    nothing twice.
    """
    response = yield Call(
        "POST",
        f"/{resource}/bulk",
        params=_import_params(kind, wishes),
        headers={**kind.headers, **_import_headers(wishes), **_length(source)},
        source=source,
        is_repeatable=source.is_replayable,
    )
    return decode(response, AcceptedImport)


def create_from_upload(
    resource: str, upload_id: str, kind: BodyKind, **wishes: Unpack[Wishes]
) -> Operation[AcceptedImport]:
    """Import what was uploaded in parts."""
    response = yield Call(
        "POST",
        f"/{resource}/bulk",
        params=_import_params(kind, wishes),
        headers={"Content-Type": "application/json", **_import_headers(wishes)},
        content=json.dumps({"upload": upload_id}).encode(),
    )
    return decode(response, AcceptedImport)


def get(import_id: int, *, wait_seconds: int = 0) -> Operation[ImportProgress]:
    """The status of an import, when it has ended or after `wait_seconds`."""
    params = {"wait": str(min(wait_seconds, _LONG_POLL_SECONDS))} if wait_seconds else {}
    response = yield Call("GET", f"/imports/{import_id}", params=params)
    return decode(response, ImportProgress)


def list_page(filters: Mapping[str, Any], cursor: str | None, limit: int) -> Operation[ImportPage]:
    """One page of imports."""
    response = yield Call("GET", "/imports", params={**query_of(filters), **_page(cursor, limit)})
    return decode(response, ImportPage)


def errors_page(import_id: int, cursor: str | None, limit: int) -> Operation[BadRowPage]:
    """One page of the rows that were not imported."""
    response = yield Call("GET", f"/imports/{import_id}/errors", params=_page(cursor, limit))
    return decode(response, BadRowPage)


def results_page(import_id: int, cursor: str | None, limit: int) -> Operation[RowResultPage]:
    """One page of what became of the rows."""
    response = yield Call("GET", f"/imports/{import_id}/results", params=_page(cursor, limit))
    return decode(response, RowResultPage)


def retry(
    import_id: int,
    source: Source | AsyncRecordSource | None,
    kind: BodyKind | None,
    idempotency_key: str | None = None,
) -> Operation[AcceptedImport]:
    """Retry the rejected rows of an import, or their replacements."""
    response = yield Call(
        "POST",
        f"/imports/{import_id}/retry",
        params={"delimiter": kind.delimiter} if kind and kind.delimiter else {},
        headers={
            **_once(idempotency_key),
            **(kind.headers if kind else {}),
            **(_length(source) if source else {}),
        },
        source=source,
        is_repeatable=source is None or source.is_replayable,
    )
    return decode(response, AcceptedImport)


def mend(import_id: int, row: int, record: Mapping[str, Any]) -> Operation[None]:
    """Replace a rejected row by a mended record, for the next retry."""
    response = yield Call(
        "PATCH",
        f"/imports/{import_id}/errors/{row}",
        headers={"Content-Type": "application/json", **_once()},
        content=json.dumps(record).encode(),
    )
    checked(response)


def cancel(import_id: int, *, rollback: bool = False) -> Operation[ImportProgress]:
    """Cancel an import; with `rollback` the rows that are stored already are removed."""
    params = {"rollback": "true"} if rollback else {}
    response = yield Call("DELETE", f"/imports/{import_id}", params=params, headers=_once())
    return decode(response, ImportProgress)


def undo(import_id: int) -> Operation[ImportProgress]:
    """Undo an import that has ended."""
    response = yield Call("POST", f"/imports/{import_id}/undo", headers=_once())
    return decode(response, ImportProgress)


def check_access() -> Operation[None]:
    """Check that the server is reachable and accepts the key."""
    response = yield Call("GET", "/imports", params={"limit": "1"})
    decode(response, ImportPage)


def schema(resource: str) -> Operation[dict[str, Any]]:
    """JSON Schema of a resource's records."""
    response = yield Call("GET", f"/{resource}/bulk/schema")
    return decode(response, dict[str, Any])


def template_call(resource: str, suffix: str) -> Call:
    """The request for a template to fill in."""
    return Call("GET", f"/{resource}/bulk/template.{suffix}")


def export_call(resource: str, export_format: str, search: str | None, null_word: str | None = None) -> Call:
    """The request for an export, whose response is streamed."""
    options = {"format": export_format, "search": search, "null_word": null_word}
    return Call("GET", f"/{resource}/export", params=query_of(options))


def errors_call(import_id: int, report_format: str) -> Call:
    """The request for the full report of an import's bad rows, whose response is streamed."""
    return Call("GET", f"/imports/{import_id}/errors", params={"format": report_format})


def report_format(path: str | Path) -> str:
    """The format of a report of bad rows by its file name; CSV by default."""
    return {".ndjson": "ndjson", ".jsonl": "ndjson", ".xlsx": "xlsx"}.get(Path(path).suffix.lower(), "csv")


def events_call(import_id: int, last_event_id: str | None) -> Call:
    """The request for an import's events, whose response is streamed."""
    headers = {"Accept": "text/event-stream"} | ({} if last_event_id is None else {"Last-Event-ID": last_event_id})
    return Call("GET", f"/imports/{import_id}/events", headers=headers)


def query_of(options: Mapping[str, Any]) -> dict[str, str | list[str]]:
    """Options as query parameters: `dry_run=True` is `dryRun=true`, a list is a parameter given several times."""
    query: dict[str, str | list[str]] = {}
    for key, value in options.items():
        if value is None or value is False:
            continue
        first, *rest = key.split("_")
        camel = first + "".join(word.title() for word in rest)
        if key in _PAIRS and isinstance(value, Mapping):
            query[camel] = [f"{name}:{text}" for name, text in value.items()]
        elif isinstance(value, list | tuple):
            query[camel] = [str(item) for item in value]
        elif isinstance(value, datetime):
            query[camel] = value.isoformat()
        else:
            query[camel] = "true" if value is True else json.dumps(value) if isinstance(value, Mapping) else str(value)
    return query


_PAIRS: Final = frozenset({"map", "set"})
"""Options that are pairs: `map={"Article no.": "sku"}` is `map=Article no.:sku`."""


def _import_params(kind: BodyKind, wishes: Wishes) -> dict[str, str | list[str]]:
    labels = {
        "delimiter": kind.delimiter,
        "name": wishes.get("name"),
        "client_id": wishes.get("client_id"),
        "tag": list(wishes.get("tags", ())),
    }
    return {**query_of(labels), **query_of(wishes.get("options", {}))}


def _import_headers(wishes: Wishes) -> dict[str, str]:
    headers = _once(wishes.get("idempotency_key"))
    if (handling := wishes.get("handling")) is not None:
        headers["Prefer"] = f"handling={Handling(handling)}"
    if (metadata := wishes.get("metadata")) is not None:
        headers["X-Import-Metadata"] = json.dumps(metadata)
    return headers


def _once(key: str | None = None) -> dict[str, str]:
    """A key of the caller's or a new one: the request does the same once, however often it is sent."""
    return {"Idempotency-Key": key or str(uuid.uuid4())}


def _length(source: Source | AsyncRecordSource) -> dict[str, str]:
    return {} if source.size is None else {"Content-Length": str(source.size)}


def _page(cursor: str | None, limit: int) -> dict[str, str]:
    return {"limit": str(limit)} | ({} if cursor is None else {"cursor": cursor})
