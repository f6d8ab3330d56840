"""One import as a client sees it: sent, accepted and followed to its final status."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.connection import Connection, Response, UnexpectedResponseError

FINAL_STATUSES = frozenset({"Completed", "PartialSuccess", "Failed", "Cancelled"})


@dataclass(frozen=True, slots=True)
class FinishedImport:
    """Times in seconds from the first byte sent."""

    accepted_seconds: float
    finished_seconds: float
    polls: int
    status: Mapping[str, Any]

    @property
    def wait_milliseconds(self) -> float:
        """The server's own `startedAt - createdAt`."""
        return _between(self.status["createdAt"], self.status["startedAt"])

    @property
    def run_milliseconds(self) -> float:
        """The server's own `completedAt - startedAt`."""
        return _between(self.status["startedAt"], self.status["completedAt"])

    def check(self, records: int, good: int) -> None:
        """Reject a measurement whose import was not exact.

        Raises
        ------
        UnexpectedResponseError
            If the counts are not those of the body.
        """
        counts = tuple(
            self.status[name] for name in ("totalRecords", "processedRecords", "successCount", "failureCount")
        )
        if counts != (records, records, good, records - good):
            raise UnexpectedResponseError(f"{records} records, {good} good, but the status is {dict(self.status)}")


def import_file(
    connection: Connection,
    resource: str,
    file: Path,
    content_type: str,
    *,
    poll_seconds: float,
    patience_seconds: float,
) -> FinishedImport:
    """Send a file and follow the import on the same connection."""
    started = time.perf_counter()
    response = connection.send_file(f"/api/{resource}/bulk", file, content_type)
    return follow(connection, resource, response, started, poll_seconds=poll_seconds, patience_seconds=patience_seconds)


def import_prepared(
    connection: Connection, resource: str, request: bytes, *, poll_seconds: float, patience_seconds: float
) -> FinishedImport:
    """Send a prepared request and follow the import on the same connection."""
    started = time.perf_counter()
    response = connection.exchange(request)
    return follow(connection, resource, response, started, poll_seconds=poll_seconds, patience_seconds=patience_seconds)


def follow(
    connection: Connection,
    resource: str,
    response: Response,
    started: float,
    *,
    poll_seconds: float,
    patience_seconds: float,
) -> FinishedImport:
    """Ask for the status until it is final; nothing is subtracted for the polling.

    Raises
    ------
    UnexpectedResponseError
        If the body was not accepted, or the import is not final after `patience_seconds`.
    """
    job = response.json(202)
    ask = connection.prepare("GET", f"/api/{resource}/bulk/{job['id']}/status")
    polls = 0
    while True:
        status = connection.exchange(ask).json(200)
        finished = time.perf_counter() - started
        polls += 1
        if status["status"] in FINAL_STATUSES:
            return FinishedImport(response.seconds, finished, polls, status)
        if finished > patience_seconds:
            raise UnexpectedResponseError(f"not final after {finished:.0f} s: {status}")
        time.sleep(poll_seconds)


def _between(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds() * 1000
