"""Sources that are addresses of the web."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

from bulkport.egress import Download, Egress, EgressFailed, EgressRefused, EgressUntrusted
from bulkport.imports.formats.file_names import bare_file_name
from bulkport.pulls.opened_source import OpenedSource, SourceRefused, SourceUnavailable, Version
from bulkport.pulls.source import Source, kind_of_file, name_of_url, shown_url

_USER_AGENT: Final = "Bulkport-Pull/1.0"
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that may be others a moment later (RFC 9110 §15, RFC 6585 §4, RFC 8470)."""
_LONGEST_WAIT: Final = 600.0
_FILE_NAME: Final = re.compile(r"""filename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s]+))""", re.IGNORECASE)
_COMPRESSED: Final = (".gz", ".zst", ".xlsx", ".xlsm", ".xlsb", ".ods", ".parquet")


class WebReader:
    """Reads addresses that the egress policy allows."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress

    @asynccontextmanager
    async def open(self, source: Source) -> AsyncIterator[OpenedSource]:
        """Open an address; see `SourceReader`."""
        assert source.url is not None
        try:
            async with self._egress.get(source.url, _headers(source.url)) as found:
                _require_content(source, found)
                name = _file_name(found) or name_of_url(found.url) or name_of_url(source.url)
                kind = kind_of_file(
                    source, name, found.headers.get("content-type"), _encoding(found.headers.get("content-encoding"))
                )
                length = found.headers.get("content-length", "")
                size = int(length) if length.isdecimal() else None
                yield OpenedSource(kind, _version(found), size, _with_plain_errors(source, found.body))
        except EgressRefused as error:
            raise SourceRefused(f"{source.title}: {error}") from None
        except EgressUntrusted as error:
            raise SourceRefused(f"{source.title}: {error}") from None
        except EgressFailed as error:
            raise SourceUnavailable(f"{source.title}: {error}") from error

    async def is_unchanged(self, source: Source, known: Version) -> bool:
        """Ask with `If-None-Match` and `If-Modified-Since` (RFC 9110 §13.1); see `SourceReader`."""
        assert source.url is not None
        conditions: dict[str, str] = {}
        if known.etag is not None:
            conditions["if-none-match"] = known.etag
        if known.last_modified is not None:
            conditions["if-modified-since"] = known.last_modified
        if not conditions:
            return False
        try:
            async with self._egress.get(source.url, {**_headers(source.url), **conditions}) as found:
                if found.status == HTTPStatus.NOT_MODIFIED:
                    return True
                # There are servers that know the versions of their files and heed no condition.
                now = _version(found)
                return found.status == HTTPStatus.OK and known.etag is not None and now.etag == known.etag
        except (EgressRefused, EgressFailed):
            return False


async def _with_plain_errors(source: Source, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        async for part in body:
            yield part
    except EgressFailed as error:
        raise SourceUnavailable(f"{source.title}: {error}") from error


def _require_content(source: Source, found: Download) -> None:
    if found.status == HTTPStatus.OK:
        return
    via = "" if found.url == source.url else f" (redirected to {shown_url(found.url)})"
    try:
        phrase = f" {HTTPStatus(found.status).phrase}"
    except ValueError:
        phrase = ""
    message = f"{source.title}{via} answered {found.status}{phrase}"
    if found.status in _PASSING:
        raise SourceUnavailable(message, _retry_after(found.headers.get("retry-after")))
    raise SourceRefused(message)


def _headers(url: str) -> dict[str, str]:
    # Compressed files gain nothing, and could end up compressed twice under one name.
    is_compressed = name_of_url(url).lower().endswith(_COMPRESSED)
    return {
        "user-agent": _USER_AGENT,
        "accept": "*/*",
        "accept-encoding": "identity" if is_compressed else "gzip, zstd",
    }


def _encoding(value: str | None) -> str | None:
    """A content encoding as names of files say it too: the old `x-gzip` is gzip (RFC 9110 §8.4.1.3)."""
    name = (value or "").strip().lower()
    return {"": None, "identity": None, "x-gzip": "gzip"}.get(name, name)


def _file_name(found: Download) -> str | None:
    said = _FILE_NAME.search(found.headers.get("content-disposition", ""))
    if said is None:
        return None
    name = re.sub(r"\\(.)", r"\1", said[1]) if said[1] is not None else said[2]
    return bare_file_name(name)


def _version(found: Download) -> Version:
    return Version(found.headers.get("etag"), found.headers.get("last-modified"))


def _retry_after(value: str | None) -> float | None:
    """Seconds by a `Retry-After` header (RFC 9110 §10.2.3)."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return min(float(value), _LONGEST_WAIT)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return min(max(0.0, (at - datetime.now(UTC)).total_seconds()), _LONGEST_WAIT)
