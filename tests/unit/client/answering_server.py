"""A server with scripted responses."""

from collections.abc import Iterator

import httpx

from bulkport.client import Client

ACCEPTED = httpx.Response(
    202, json={"id": 9, "hangfireJobId": "9", "message": "Bulk import job successfully queued", "totalRecords": 2}
)


def progress(status: str, processed: int = 0) -> dict[str, object]:
    return {
        "id": 9,
        "hangfireJobId": "9",
        "status": status,
        "totalRecords": 2,
        "processedRecords": processed,
        "successCount": processed,
        "failureCount": 0,
        "createdAt": "2026-01-02T03:04:05.678Z",
        "startedAt": None,
        "completedAt": None,
        "errorSummary": None,
        "aMemberOfTheFuture": True,
    }


class Server(httpx.BaseTransport):
    """Answers requests from `answers`: a response, or a transport exception."""

    def __init__(self, *answers: httpx.Response | Exception, reads_body: bool = True) -> None:
        self._answers: Iterator[httpx.Response | Exception] = iter(answers)
        self._reads_body = reads_body
        self.requests: list[httpx.Request] = []
        self.bodies: list[bytes] = []
        self.waits: list[float] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = next(self._answers)
        if self._reads_body and not isinstance(answer, httpx.ConnectError):
            self.bodies.append(request.read())
        if isinstance(answer, Exception):
            raise answer
        return answer

    def client(self, url: str = "http://server", key: str = "key") -> Client:
        return Client(url, api_key=key, patience_seconds=5.0, transport=self, sleep=self.waits.append)
