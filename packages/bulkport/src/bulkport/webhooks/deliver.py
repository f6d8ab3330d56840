"""The background task that sends one delivery."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from psycopg.rows import class_row

from bulkport.egress import Answer, EgressFailed, EgressRefused
from bulkport.errors import JobNotFound
from bulkport.identifiers import ImportId
from bulkport.imports.read import ImportJob, read_jobs
from bulkport.jobs.port import JobContext, RetryPolicy, TaskDefinition
from bulkport.jobs.retry import FinalError
from bulkport.pools import AsyncPool
from bulkport.webhooks.signing import signature_headers
from bulkport.webhooks.store import WebhookEvent

DELIVER_WEBHOOK: Final = "bulkport.deliver_webhook"
WEBHOOK_QUEUE: Final = "webhooks"

# 5 s, 10 s, 20 s … 4 h: sixteen attempts take about a day.
RETRY: Final = RetryPolicy(max_attempts=16, base_seconds=5.0, max_seconds=4 * 3600.0)

_GONE: Final = 410
_USER_AGENT: Final = "Bulkport-Webhooks/1.0"
_MAX_ERROR: Final = 500

_SELECT: Final = """
    SELECT d.id, d.webhook_id, d.message_id, d.event, d.import_id, d.created_at, d.state, w.url, w.is_active, w.secret,
           CASE WHEN w.rotated_at > clock_timestamp() - interval '1 day' THEN w.previous_secret END AS previous_secret
    FROM bulkport.webhook_deliveries d JOIN bulkport.webhooks w ON w.id = d.webhook_id
    WHERE d.id = %s
"""
_WRITE_ATTEMPT: Final = """
    UPDATE bulkport.webhook_deliveries SET
        attempts = attempts + 1, last_attempt_at = clock_timestamp(),
        last_status = %(status)s, last_error = %(error)s,
        state = CASE WHEN %(is_delivered)s THEN 'delivered' ELSE state END,
        delivered_at = CASE WHEN %(is_delivered)s THEN clock_timestamp() END
    WHERE id = %(id)s
"""
_FAIL: Final = "UPDATE bulkport.webhook_deliveries SET state = 'failed' WHERE id = %s AND state = 'pending'"
_SWITCH_OFF: Final = "UPDATE bulkport.webhooks SET is_active = false WHERE id = %s"


class Sender(Protocol):
    """Sends a request; `bulkport.egress.Egress` is one."""

    async def post(self, url: str, content: bytes, headers: Mapping[str, str]) -> Answer:
        """Send a POST; raises EgressRefused or EgressFailed."""
        ...


class DeliveryFailed(Exception):
    """The receiver did not take the message; it is sent again later."""


@dataclass(frozen=True, slots=True)
class _Message:
    id: int
    webhook_id: int
    message_id: str
    event: str
    import_id: int | None
    created_at: datetime
    state: str
    url: str
    is_active: bool
    secret: str
    previous_secret: str | None


class Deliverer:
    """Sends deliveries in a worker process.

    Parameters
    ----------
    pool:
        Autocommit connections; none is held while a receiver is asked.
    """

    def __init__(self, pool: AsyncPool, sender: Sender) -> None:
        self._pool = pool
        self._sender = sender

    def task(self) -> TaskDefinition:
        """The task to register with the engine."""
        return TaskDefinition(
            name=DELIVER_WEBHOOK,
            function=self.deliver,
            retry=RETRY,
            expected=(DeliveryFailed, FinalError),
            on_failure=self.write_failure,
        )

    async def deliver(self, context: JobContext, *, delivery_id: int) -> None:
        """Task: send a delivery once.

        A receiver may get a message twice, when the worker dies before it has written that it was taken; both have
        one message id.

        Raises
        ------
        DeliveryFailed
            The receiver did not take it; the job comes back later.
        FinalError
            It can never be taken: the address may not be asked, or the webhook is gone or switched off.
        """
        async with self._pool.connection() as connection, connection.cursor(row_factory=class_row(_Message)) as cursor:
            message = await (await cursor.execute(_SELECT, (delivery_id,))).fetchone()
            if message is None or message.state != "pending":
                return
            if not message.is_active and message.event != WebhookEvent.PING:
                raise FinalError("the webhook is disabled")
            body = await self._body(message)
        signing_secrets = [secret for secret in (message.secret, message.previous_secret) if secret]
        headers = {
            "content-type": "application/json",
            "user-agent": _USER_AGENT,
            **signature_headers(message.message_id, round(time.time()), body, signing_secrets),
        }
        try:
            answer = await self._sender.post(message.url, body, headers)
        except EgressRefused as refusal:
            await self._write(message, None, str(refusal))
            raise FinalError(str(refusal)) from None
        except EgressFailed as failure:
            await self._write(message, None, str(failure))
            raise DeliveryFailed(str(failure)) from None
        if 200 <= answer.status < 300:
            await self._write(message, answer.status, None)
            return
        error = f"answered {answer.status}"
        await self._write(message, answer.status, error)
        if answer.status == _GONE:
            async with self._pool.connection() as connection:
                await connection.execute(_SWITCH_OFF, (message.webhook_id,))
            raise FinalError("responded 410: the receiver wants no more messages, so the webhook was disabled")
        raise DeliveryFailed(error)

    async def write_failure(self, context: JobContext, error: BaseException) -> None:
        """Write that a delivery has failed, with its job's last attempt."""
        delivery_id = int(str(context.args["delivery_id"]))
        async with self._pool.connection() as connection:
            await connection.execute(_FAIL, (delivery_id,))

    async def _body(self, message: _Message) -> bytes:
        data: dict[str, Any] = {}
        if message.import_id is not None:
            async with self._pool.connection() as connection:
                jobs = await read_jobs(connection, [ImportId(message.import_id)])
            if message.import_id not in jobs:
                raise FinalError(JobNotFound().detail)
            data = _import_members(jobs[message.import_id])
        # Every attempt sends the same bytes, but for the signature.
        content = {"type": message.event, "timestamp": _time(message.created_at), "data": data}
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()

    async def _write(self, message: _Message, status: int | None, error: str | None) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(
                _WRITE_ATTEMPT,
                {
                    "id": message.id,
                    "status": status,
                    "error": error and error[:_MAX_ERROR],
                    "is_delivered": error is None,
                },
            )


def _import_members(job: ImportJob) -> dict[str, Any]:
    return {
        "id": job.id,
        "resource": job.resource,
        "status": job.status,
        "name": job.name,
        "clientId": job.client_id,
        "metadata": job.metadata,
        "tags": job.tags,
        "totalRecords": job.total_records,
        "processedRecords": job.processed_count,
        "successCount": job.success_count,
        "failureCount": job.failure_count,
        "errorSummary": job.error_summary,
        "createdAt": _time(job.created_at),
        "startedAt": job.started_at and _time(job.started_at),
        "completedAt": job.completed_at and _time(job.completed_at),
    }


def _time(value: datetime) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
