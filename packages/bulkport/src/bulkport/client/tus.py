"""Uploading a file in parts that survives broken connections (tus 1.0.0, <https://tus.io/protocols/resumable-upload>)."""

import base64
from typing import Final, TypeGuard

import httpx

from bulkport.backoff import wait_after
from bulkport.client.bodies import BodyKind, FilePart, FileSource, Source
from bulkport.client.errors import ClientError, UnexpectedAnswer
from bulkport.client.operations import Call, Operation, Wishes
from bulkport.client.records import AsyncRecordSource
from bulkport.client.responses import checked

PART_BYTES: Final = 32 * 1024 * 1024
_VERSION: Final = {"Tus-Resumable": "1.0.0"}
_BYTES: Final = {**_VERSION, "Content-Type": "application/offset+octet-stream"}
_MOST_FAILURES: Final = 10
"""Consecutive failures without progress after which an upload is given up."""
_LONGEST_PAUSE_SECONDS: Final = 10.0
_NOT_OFFERED: Final = frozenset({404, 405, 413, 501})


def upload(source: FileSource, kind: BodyKind, *, part_bytes: int = PART_BYTES) -> Operation[str | None]:
    """Upload a file; the upload's id, or None if the server does not take it in this way.

    What has arrived when a connection breaks is not sent again: the server is asked where to go on.

    Raises
    ------
    RequestRefused, ServerUnreachable, UploadLost
        The upload failed again and again.
    """
    response = yield Call("POST", "/uploads", headers={**_VERSION, **_creation(source, kind)})
    if response.status_code in _NOT_OFFERED:
        return None
    checked(response)
    upload_id: str = response.headers.get("location", "").rstrip("/").rpartition("/")[2]
    if not upload_id:
        raise UnexpectedAnswer(f"{response.url} made an upload without saying where.")
    path = f"/uploads/{upload_id}"
    offset = failures = 0
    while offset < source.size:
        failure: ClientError | None = None
        try:
            response = yield _part_call(path, source, offset, min(offset + part_bytes, source.size))
        except ClientError as error:
            failure = error
        if failure is None and response.is_success:
            offset, failures = _offset(response), 0
            continue
        if failure is None and 400 <= response.status_code < 500 and response.status_code not in (408, 409, 429):
            checked(response)
        failures += 1
        if failures > _MOST_FAILURES:
            raise failure if failure is not None else _given_up(response)
        # What arrived before the connection broke is kept.
        pause = wait_after(failures, first=0.2, longest=_LONGEST_PAUSE_SECONDS)
        response = checked((yield Call("HEAD", path, headers=_VERSION, pause_seconds=pause)))
        if _offset(response) > offset:
            failures = 0
        offset = _offset(response)
    return upload_id


def is_resumable(source: Source | AsyncRecordSource, least_bytes: int | None, wishes: Wishes) -> TypeGuard[FileSource]:
    """Whether a body is uploaded in parts.

    With an idempotency key of the caller's it is not: each upload has an id of its own, so the request would be another
    one each time.
    """
    return (
        least_bytes is not None
        and isinstance(source, FileSource)
        and source.size >= least_bytes
        and wishes.get("idempotency_key") is None
    )


def _part_call(path: str, source: FileSource, start: int, end: int) -> Call:
    return Call(
        "PATCH",
        path,
        headers={**_BYTES, "Upload-Offset": str(start), "Content-Length": str(end - start)},
        source=FilePart(source, start, end),
        # Where it went wrong, the server knows how much has arrived.
        is_repeatable=False,
        sent_before=start,
    )


def _creation(source: FileSource, kind: BodyKind) -> dict[str, str]:
    suffix = {"gzip": ".gz", "zstd": ".zst"}.get(kind.encoding or "", "")
    name = source.path.name if not suffix or source.path.name.lower().endswith(suffix) else source.path.name + suffix
    pairs = {"filename": name, "filetype": kind.headers["Content-Type"]}
    encoded = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in pairs.items())
    return {"Upload-Length": str(source.size), "Upload-Metadata": encoded}


def _offset(response: httpx.Response) -> int:
    value = response.headers.get("upload-offset", "")
    if not value.isdecimal():
        raise UnexpectedAnswer(f"{response.url} does not say how much of the upload has arrived.")
    return int(value)


def _given_up(response: httpx.Response) -> ClientError:
    try:
        checked(response)
    except ClientError as error:
        return error
    return UnexpectedAnswer(f"{response.url} took no bytes.")
