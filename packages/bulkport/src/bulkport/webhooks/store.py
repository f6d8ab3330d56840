"""Webhooks and their deliveries in the database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from psycopg import AsyncConnection
from psycopg.rows import class_row

from bulkport.errors import NotFound, TooManyWebhooks
from bulkport.identifiers import UserId

MAX_WEBHOOKS: Final = 20
"""Webhooks of one user."""


_MISSING: Final = "The webhook does not exist."


class WebhookEvent(StrEnum):
    """The events that a webhook can get."""

    COMPLETED = "import.completed"
    """Every row was imported."""
    PARTIAL_SUCCESS = "import.partial_success"
    """Some rows were rejected."""
    FAILED = "import.failed"
    CANCELLED = "import.cancelled"
    PING = "webhook.ping"
    """A test message, sent on request."""


class DeliveryState(StrEnum):
    """The state of a delivery."""

    PENDING = "pending"
    """It waits for its first or its next attempt."""
    DELIVERED = "delivered"
    """The receiver answered 2xx."""
    FAILED = "failed"
    """The last attempt failed, or the webhook was removed or switched off."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """An address of a user's, and the events that it gets."""

    id: int
    user_id: str
    url: str
    events: list[str]
    description: str | None
    is_active: bool
    secret: str
    previous_secret: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to one webhook."""

    id: int
    webhook_id: int
    message_id: str
    event: str
    import_id: int | None
    state: str
    attempts: int
    last_status: int | None
    last_error: str | None
    created_at: datetime
    last_attempt_at: datetime | None
    delivered_at: datetime | None


# A replaced secret signs for another day.
_WEBHOOK: Final = """
    id, user_id, url, events, description, is_active, secret,
    CASE WHEN rotated_at > clock_timestamp() - interval '1 day' THEN previous_secret END AS previous_secret, created_at
"""
_DELIVERY: Final = """
    id, webhook_id, message_id, event, import_id, state, attempts, last_status, last_error, created_at,
    last_attempt_at, delivered_at
"""

_INSERT: Final = f"""
    INSERT INTO bulkport.webhooks (user_id, url, events, description, secret)
    SELECT %(user_id)s, %(url)s, %(events)s, %(description)s, %(secret)s
    WHERE (SELECT count(*) FROM bulkport.webhooks WHERE user_id = %(user_id)s) < %(most)s
    RETURNING {_WEBHOOK}
"""
_LOCK_USER: Final = "SELECT pg_advisory_xact_lock(hashtextextended('bulkport webhooks ' || %s, 0))"
_SELECT_ALL: Final = f"SELECT {_WEBHOOK} FROM bulkport.webhooks WHERE user_id = %s ORDER BY id"
_SELECT_ONE: Final = f"SELECT {_WEBHOOK} FROM bulkport.webhooks WHERE id = %s AND user_id = %s"
_UPDATE: Final = f"""
    UPDATE bulkport.webhooks SET
        url = coalesce(%(url)s, url), events = coalesce(%(events)s, events),
        description = coalesce(%(description)s, description), is_active = coalesce(%(is_active)s, is_active)
    WHERE id = %(id)s AND user_id = %(user_id)s
    RETURNING {_WEBHOOK}
"""
_ROTATE: Final = f"""
    UPDATE bulkport.webhooks SET previous_secret = secret, secret = %(secret)s, rotated_at = clock_timestamp()
    WHERE id = %(id)s AND user_id = %(user_id)s
    RETURNING {_WEBHOOK}
"""
_DELETE: Final = "DELETE FROM bulkport.webhooks WHERE id = %s AND user_id = %s"
_SELECT_DELIVERIES: Final = f"""
    SELECT {_DELIVERY} FROM bulkport.webhook_deliveries
    WHERE webhook_id = %(webhook_id)s AND (%(before)s::bigint IS NULL OR id < %(before)s)
    ORDER BY id DESC LIMIT %(limit)s
"""
_INSERT_PING: Final = f"""
    INSERT INTO bulkport.webhook_deliveries (webhook_id, event) VALUES (%s, '{WebhookEvent.PING}') RETURNING {_DELIVERY}
"""
# The same message id: a receiver that has the message already knows it.
_SEND_AGAIN: Final = f"""
    UPDATE bulkport.webhook_deliveries SET state = 'pending', queued_at = NULL
    WHERE id = %(id)s AND webhook_id = %(webhook_id)s AND state <> 'pending'
    RETURNING {_DELIVERY}
"""


async def create_webhook(
    connection: AsyncConnection[Any],
    user_id: UserId,
    *,
    url: str,
    events: Sequence[str],
    description: str | None,
    secret: str,
) -> Webhook:
    """Add a webhook.

    Raises
    ------
    TooManyWebhooks
        The user has as many as one may have.
    """
    values = {
        "user_id": user_id,
        "url": url,
        "events": list(events),
        "description": description,
        "secret": secret,
        "most": MAX_WEBHOOKS,
    }
    async with connection.transaction():
        await connection.execute(_LOCK_USER, (user_id,))
        created = await _webhook(connection, _INSERT, values)
    if created is None:
        raise TooManyWebhooks(f"You have reached the limit of {MAX_WEBHOOKS} webhooks; delete one first.")
    return created


async def list_webhooks(connection: AsyncConnection[Any], user_id: UserId) -> list[Webhook]:
    """The user's webhooks, oldest first."""
    async with connection.cursor(row_factory=class_row(Webhook)) as cursor:
        return await (await cursor.execute(_SELECT_ALL, (user_id,))).fetchall()


async def get_webhook(connection: AsyncConnection[Any], webhook_id: int, user_id: UserId) -> Webhook:
    """One of the user's webhooks; raises NotFound."""
    return _found(await _webhook(connection, _SELECT_ONE, (webhook_id, user_id)))


async def change_webhook(
    connection: AsyncConnection[Any],
    webhook_id: int,
    user_id: UserId,
    *,
    url: str | None = None,
    events: Sequence[str] | None = None,
    description: str | None = None,
    is_active: bool | None = None,
) -> Webhook:
    """Change the given members; raises NotFound."""
    values = {
        "id": webhook_id,
        "user_id": user_id,
        "url": url,
        "events": None if events is None else list(events),
        "description": description,
        "is_active": is_active,
    }
    return _found(await _webhook(connection, _UPDATE, values))


async def rotate_secret(connection: AsyncConnection[Any], webhook_id: int, user_id: UserId, secret: str) -> Webhook:
    """Replace the secret; the old one signs beside it for a day. Raises NotFound."""
    return _found(await _webhook(connection, _ROTATE, {"id": webhook_id, "user_id": user_id, "secret": secret}))


async def delete_webhook(connection: AsyncConnection[Any], webhook_id: int, user_id: UserId) -> None:
    """Remove a webhook with its deliveries; raises NotFound."""
    if not (await connection.execute(_DELETE, (webhook_id, user_id))).rowcount:
        raise NotFound(_MISSING)


async def list_deliveries(
    connection: AsyncConnection[Any], webhook_id: int, *, before: int | None, limit: int
) -> list[Delivery]:
    """A webhook's deliveries, newest first."""
    async with connection.cursor(row_factory=class_row(Delivery)) as cursor:
        values = {"webhook_id": webhook_id, "before": before, "limit": limit}
        return await (await cursor.execute(_SELECT_DELIVERIES, values)).fetchall()


async def create_ping(connection: AsyncConnection[Any], webhook_id: int) -> Delivery:
    """A test message, to be sent at once."""
    async with connection.cursor(row_factory=class_row(Delivery)) as cursor:
        delivery = await (await cursor.execute(_INSERT_PING, (webhook_id,))).fetchone()
    assert delivery is not None
    return delivery


async def send_again(connection: AsyncConnection[Any], webhook_id: int, delivery_id: int) -> Delivery:
    """Have a delivery that ended sent once more, under its message id; raises NotFound."""
    async with connection.cursor(row_factory=class_row(Delivery)) as cursor:
        values = {"id": delivery_id, "webhook_id": webhook_id}
        delivery = await (await cursor.execute(_SEND_AGAIN, values)).fetchone()
    if delivery is None:
        raise NotFound("There is no such finished delivery.")
    return delivery


async def _webhook(connection: AsyncConnection[Any], statement: str, values: Any) -> Webhook | None:
    async with connection.cursor(row_factory=class_row(Webhook)) as cursor:
        return await (await cursor.execute(statement, values)).fetchone()


def _found(webhook: Webhook | None) -> Webhook:
    if webhook is None:
        raise NotFound(_MISSING)
    return webhook
