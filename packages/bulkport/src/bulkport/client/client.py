"""The client itself: submit, follow, read the bad rows."""

import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Final, Self

import httpx

from bulkport.client.answers import AcceptedImport, BadRow, BadRowPage, ImportProgress, decode
from bulkport.client.bodies import BodyKind, Source
from bulkport.client.errors import ClientError, ServerUnreachable, UnexpectedAnswer, UploadLost
from bulkport.imports.formats.prefer_header import Handling

# The server answers an upload when it is stored, which may take a while for many millions of rows.
_TIMEOUT: Final = httpx.Timeout(connect=10.0, write=300.0, read=300.0, pool=10.0)
_BUSY: Final = frozenset({502, 503, 504})
_FIRST_POLL_SECONDS: Final = 0.05
_LONGEST_POLL_SECONDS: Final = 1.0


class BulkportClient:
    """Talks to one server with one API key. A context manager; not for use by several threads at once.

    Parameters
    ----------
    url:
        Address of the server, such as `http://127.0.0.1:8000`.
    patience_seconds:
        How long a server that cannot be reached, or is too busy, is asked again. What is asked again is safe to be:
        a question, or a body of which the server cannot have had the end.
    transport, sleep:
        For tests: another way to the server, and another way to wait.

    Raises
    ------
    ClientError
        The address or the key cannot be one.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str,
        patience_seconds: float = 5.0,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url.rstrip("/")
        self._patience_seconds = patience_seconds
        self._sleep = sleep
        if not (api_key.isascii() and api_key.isprintable()):
            raise ClientError("The API key holds characters that no key has.")
        self._http = httpx.Client(
            base_url=self.url,
            headers={"x-api-key": api_key},
            timeout=_TIMEOUT,
            transport=transport,
            # A proxy set for the internet does not lead to this machine.
            trust_env=not _is_on_this_machine(self.url),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def check_access(self) -> None:
        """Ask the server whether it is there and knows the key; worth it before sending gigabytes.

        Raises
        ------
        ServerUnreachable
            It does not answer.
        RequestRefused
            It does not accept the key.
        """
        response = self._get("/api/imports", params={"limit": "1"})
        if not response.is_success:
            decode(response, AcceptedImport)

    def submit(
        self,
        resource: str,
        source: Source,
        kind: BodyKind,
        *,
        handling: Handling | None = None,
        on_sent: Callable[[int], None] = lambda sent: None,
    ) -> AcceptedImport:
        """Send a body; it is stored and queued when this returns.

        Parameters
        ----------
        handling:
            What one bad row means for the others; None: the server's default for the format.
        on_sent:
            Called with the number of bytes sent so far, 0 when an upload begins again.

        Raises
        ------
        RequestRefused
            The server refused the body; nothing of it was kept.
        ServerUnreachable
            The server does not answer.
        UploadLost
            The connection broke.
        SourceUnusable
            The body cannot be read.
        """
        headers = kind.headers
        if handling is not None:
            headers["Prefer"] = f"handling={handling}"
        if source.size is not None:
            headers["Content-Length"] = str(source.size)
        parameters = {} if kind.delimiter is None else {"delimiter": kind.delimiter}
        retry = _Patience(self._patience_seconds, self._sleep)
        while True:
            reading = _Reading(source, on_sent)
            try:
                response = self._http.post(
                    f"/api/{resource}/bulk", params=parameters, headers=headers, content=reading.blocks()
                )
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                # Nothing was sent, not even of standard input.
                if not retry.wait():
                    raise self._unreachable(error) from error
                continue
            except httpx.TransportError as error:
                raise _lost(reading, error) from error
            # A body whose end the server has not seen cannot have been accepted.
            is_safe = not reading.is_complete and (source.is_replayable or reading.sent == 0)
            if response.status_code in _BUSY and is_safe and retry.wait(_seconds_to_wait(response)):
                continue
            return decode(response, AcceptedImport)

    def progress(self, import_id: int) -> ImportProgress:
        """Where an import stands.

        Raises
        ------
        RequestRefused
            There is no such import, or it belongs to another user.
        ServerUnreachable
            The server does not answer.
        """
        return decode(self._get(f"/api/imports/{import_id}"), ImportProgress)

    def follow(self, import_id: int) -> Iterator[ImportProgress]:
        """Ask again and again until the import has ended; the last answer is the final one.

        A server that is restarted meanwhile is waited for, as long as `patience_seconds`.
        """
        pause = _FIRST_POLL_SECONDS
        while True:
            progress = self.progress(import_id)
            yield progress
            if progress.is_settled:
                return
            self._sleep(pause)
            pause = min(pause * 1.5, _LONGEST_POLL_SECONDS)

    def bad_rows(self, import_id: int, *, page_size: int = 100) -> Iterator[BadRow]:
        """Every row that was not imported, in row order; pages are asked for as they are needed."""
        cursor: str | None = None
        while True:
            parameters = {"limit": str(page_size)} | ({} if cursor is None else {"cursor": cursor})
            page = decode(self._get(f"/api/imports/{import_id}/errors", params=parameters), BadRowPage)
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def _get(self, path: str, *, params: dict[str, str] | None = None) -> httpx.Response:
        retry = _Patience(self._patience_seconds, self._sleep)
        while True:
            try:
                response = self._http.get(path, params=params)
            except httpx.TransportError as error:
                if not retry.wait():
                    raise self._unreachable(error) from error
                continue
            if response.status_code in _BUSY and retry.wait(_seconds_to_wait(response)):
                continue
            if response.is_redirect:
                raise UnexpectedAnswer(f"{response.url} redirects to {response.headers.get('location')}; use that.")
            return response

    def _unreachable(self, error: httpx.TransportError) -> ServerUnreachable:
        if isinstance(error, httpx.TimeoutException):
            return ServerUnreachable(f"{self.url} does not answer.")
        return ServerUnreachable(f"{self.url} cannot be reached: {error}")


class _Reading:
    """One pass over a source: counts what went out, and knows whether all of it did."""

    def __init__(self, source: Source, on_sent: Callable[[int], None]) -> None:
        self._source = source
        self._on_sent = on_sent
        self._is_read = False
        self.sent = 0

    @property
    def is_complete(self) -> bool:
        """Whether the server may have the body's end: by its length, or by what follows the last piece."""
        return self._is_read or self.sent == self._source.size

    def blocks(self) -> Iterator[bytes]:
        self._on_sent(0)
        for block in self._source.blocks():
            self.sent += len(block)
            yield block
            self._on_sent(self.sent)
        self._is_read = True


class _Patience:
    """Waits between attempts, longer each time, until its seconds are used up."""

    def __init__(self, seconds: float, sleep: Callable[[float], None]) -> None:
        self._left = seconds
        self._sleep = sleep
        self._pause = 0.2

    def wait(self, wanted: float | None = None) -> bool:
        """Wait as long as the server `wanted`, or as the attempts so far suggest. False: no patience left."""
        pause = self._pause if wanted is None else max(wanted, self._pause)
        if pause > self._left:
            return False
        self._left -= pause
        self._pause = min(self._pause * 2, 5.0)
        self._sleep(pause)
        return True


def _is_on_this_machine(url: str) -> bool:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ClientError(f"{url} is not an address: {error}") from error
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise ClientError(f"{url} is not an address; it looks like http://127.0.0.1:8000.")
    return parsed.host in {"localhost", "::1"} or parsed.host.startswith("127.")


def _seconds_to_wait(response: httpx.Response) -> float | None:
    """`Retry-After` in seconds (RFC 9110 §10.2.3); a date, which no Bulkport server sends, is not read."""
    value = response.headers.get("retry-after", "")
    return float(value) if value.isdecimal() else None


def _lost(reading: _Reading, error: httpx.TransportError) -> UploadLost:
    reason = str(error) or type(error).__name__
    if reading.is_complete:
        return UploadLost(
            f"The connection was lost before the server answered ({reason}). It may have accepted the import.",
            may_be_accepted=True,
        )
    return UploadLost(
        f"The connection was lost after {reading.sent:,} bytes ({reason}). Nothing of them was kept.",
        may_be_accepted=False,
    )
