"""`/webhooks`: notifies a user of finished imports, and lists the deliveries."""

from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Query, Response, status
from psycopg import AsyncConnection
from pydantic import Field
from starlette.requests import Request

from bulkport.egress import EgressPolicy
from bulkport.fastapi.bodies import JsonBody
from bulkport.fastapi.change import Answer, change_once, safe_to_repeat
from bulkport.fastapi.paths import request_path
from bulkport.fastapi.route import Authenticate, BulkportRoute
from bulkport.fastapi.schemas import PathId, UtcTime, WireBody, WireQuery, WireView
from bulkport.identifiers import MAX_BIGINT, UserId
from bulkport.imports.runtime import ImportRuntime
from bulkport.webhooks import store
from bulkport.webhooks.signing import new_secret
from bulkport.webhooks.store import DeliveryState, WebhookEvent

_Event = Literal["import.completed", "import.partial_success", "import.failed", "import.cancelled"]
_ALL_EVENTS: Final = [event for event in WebhookEvent if event is not WebhookEvent.PING]

_Url = Annotated[str, Field(min_length=1, max_length=2000, examples=["https://example.org/hooks/imports"])]
_Events = Annotated[
    list[_Event], Field(min_length=1, max_length=len(_ALL_EVENTS), examples=[["import.completed", "import.failed"]])
]
_Description = Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$", examples=["nightly exports"])]


class NewWebhook(WireBody):
    """A webhook to add."""

    url: Annotated[_Url, Field(description="Where messages are sent: an https URL in a public network.")]
    events: Annotated[_Events, Field(description="Events to send; by default, all.")] = [  # noqa: RUF012
        "import.completed",
        "import.partial_success",
        "import.failed",
        "import.cancelled",
    ]
    description: Annotated[_Description | None, Field(description="A note.")] = None


class WebhookChange(WireBody):
    """Changes of a webhook; members that are left out stay as they are."""

    url: Annotated[_Url | None, Field(examples=["https://example.org/hooks/imports"])] = None
    events: Annotated[_Events | None, Field(examples=[["import.failed"]])] = None
    description: Annotated[_Description | None, Field(examples=["alerts only"])] = None
    is_active: Annotated[
        bool | None, Field(description="False pauses the webhook, true resumes it.", examples=[True])
    ] = None


class WebhookView(WireView):
    """A webhook without its secret."""

    id: int
    """The webhook's id."""
    url: str
    """Where messages are sent."""
    events: list[str]
    """Its events."""
    description: str | None
    """The user's note."""
    is_active: bool
    """False: it is paused, by its user or because the receiver responded 410."""
    created_at: UtcTime
    """When it was added."""


class WebhookWithSecret(WebhookView):
    """A webhook with its secret, which is shown only once."""

    secret: str
    """Signs the messages: `whsec_` and base64 of the key."""


class WebhookList(WireView):
    """All webhooks of a user."""

    items: list[WebhookView]
    """The webhooks."""


class DeliveryView(WireView):
    """A message to a webhook, and its outcome."""

    id: int
    """The delivery's id."""
    message_id: str
    """The `webhook-id` of every attempt."""
    event: str
    """The event, such as `import.completed`."""
    import_id: int | None
    """The import it is about; null for a ping."""
    state: DeliveryState
    """`pending` (waiting for its first or next attempt), `delivered` (the receiver responded 2xx) or `failed`."""
    attempts: int
    """Number of attempts."""
    last_status: int | None
    """Status of the last response; null if there was none."""
    last_error: str | None
    """Why the last attempt failed."""
    created_at: UtcTime
    """When the event happened."""
    last_attempt_at: UtcTime | None
    """When it was last sent."""
    delivered_at: UtcTime | None
    """When the receiver accepted it."""


class DeliveryPage(WireView):
    """A page of a webhook's deliveries, newest first."""

    items: list[DeliveryView]
    """The deliveries."""
    next_cursor: str | None
    """`cursor` of the next page; null on the last one."""


class DeliveryQuery(WireQuery):
    """Query parameters of the list of deliveries."""

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Annotated[int | None, Field(ge=1, le=MAX_BIGINT, description="`nextCursor` of the previous page.")] = None


_new_webhook: Final = JsonBody(NewWebhook)
_webhook_change: Final = JsonBody(WebhookChange)
_CREATION: Final = _new_webhook.openapi
_CREATION["requestBody"]["content"]["application/json"]["example"] = {
    "url": "https://example.org/hooks/imports",
    "events": ["import.completed", "import.failed"],
}


def webhook_router(runtime: Callable[[], ImportRuntime], authenticate: Authenticate, policy: EgressPolicy) -> APIRouter:
    """Routes under `/webhooks`. The parameters are those of `bulk_router`.

    Parameters
    ----------
    policy:
        Which addresses may be asked.
    """
    router = APIRouter(prefix="/webhooks", tags=["webhooks"], route_class=BulkportRoute)
    Caller = Annotated[UserId, Depends(authenticate)]  # noqa: N806 # a type

    @router.get("")
    async def list_webhooks(user_id: Caller) -> WebhookList:
        """Your webhooks, oldest first, without their secrets."""
        async with runtime().of_user(user_id).connection() as connection:
            return WebhookList(
                items=[WebhookView.model_validate(one) for one in await store.list_webhooks(connection, user_id)]
            )

    @router.post(
        "",
        status_code=status.HTTP_201_CREATED,
        response_model=WebhookWithSecret,
        openapi_extra=safe_to_repeat(_CREATION),
        responses={409: {"description": "The user has reached the limit of webhooks."}},
    )
    async def create_webhook(
        request: Request, user_id: Caller, body: Annotated[NewWebhook, Depends(_new_webhook)]
    ) -> Response:
        """Add a webhook. Only this response shows its signing secret."""
        policy.check_url(body.url, "url")

        async def create(connection: AsyncConnection[Any]) -> Answer:
            webhook = await store.create_webhook(
                connection,
                user_id,
                url=body.url,
                events=list(dict.fromkeys(body.events)),
                description=body.description,
                secret=new_secret(),
            )
            return Answer(201, WebhookWithSecret.model_validate(webhook), f"{request_path(request)}/{webhook.id}")

        return await change_once(request, user_id, runtime(), create)

    @router.get("/{webhook_id}")
    async def get_webhook(webhook_id: PathId, user_id: Caller) -> WebhookView:
        """One webhook."""
        async with runtime().of_user(user_id).connection() as connection:
            return WebhookView.model_validate(await store.get_webhook(connection, webhook_id, user_id))

    @router.patch("/{webhook_id}", response_model=WebhookView, openapi_extra=safe_to_repeat(_webhook_change.openapi))
    async def change_webhook(
        request: Request,
        webhook_id: PathId,
        user_id: Caller,
        body: Annotated[WebhookChange, Depends(_webhook_change)],
    ) -> Response:
        """Change, pause or resume a webhook."""
        if body.url is not None:
            policy.check_url(body.url, "url")

        async def change(connection: AsyncConnection[Any]) -> Answer:
            webhook = await store.change_webhook(connection, webhook_id, user_id, **body.model_dump())
            return Answer(200, WebhookView.model_validate(webhook))

        return await change_once(request, user_id, runtime(), change)

    @router.delete("/{webhook_id}", status_code=status.HTTP_204_NO_CONTENT, openapi_extra=safe_to_repeat())
    async def delete_webhook(request: Request, webhook_id: PathId, user_id: Caller) -> Response:
        """Delete a webhook and its deliveries. Pending messages are not sent."""

        async def delete(connection: AsyncConnection[Any]) -> Answer:
            await store.delete_webhook(connection, webhook_id, user_id)
            return Answer()

        return await change_once(request, user_id, runtime(), delete)

    @router.post("/{webhook_id}/secret", response_model=WebhookWithSecret, openapi_extra=safe_to_repeat())
    async def rotate_secret(request: Request, webhook_id: PathId, user_id: Caller) -> Response:
        """Replace the signing secret. For a day, messages are signed with both."""

        async def rotate(connection: AsyncConnection[Any]) -> Answer:
            webhook = await store.rotate_secret(connection, webhook_id, user_id, new_secret())
            return Answer(200, WebhookWithSecret.model_validate(webhook))

        return await change_once(request, user_id, runtime(), rotate)

    @router.post(
        "/{webhook_id}/ping",
        status_code=status.HTTP_202_ACCEPTED,
        response_model=DeliveryView,
        openapi_extra=safe_to_repeat(),
    )
    async def ping(request: Request, webhook_id: PathId, user_id: Caller) -> Response:
        """Send a test message (`webhook.ping`)."""

        async def send(connection: AsyncConnection[Any]) -> Answer:
            await store.get_webhook(connection, webhook_id, user_id)
            return Answer(202, DeliveryView.model_validate(await store.create_ping(connection, webhook_id)))

        return await change_once(request, user_id, runtime(), send)

    @router.get("/{webhook_id}/deliveries")
    async def list_deliveries(
        webhook_id: PathId, user_id: Caller, query: Annotated[DeliveryQuery, Query()]
    ) -> DeliveryPage:
        """Messages to a webhook and the responses, newest first."""
        async with runtime().of_user(user_id).connection() as connection:
            await store.get_webhook(connection, webhook_id, user_id)
            found = await store.list_deliveries(connection, webhook_id, before=query.cursor, limit=query.limit + 1)
        page = found[: query.limit]
        return DeliveryPage(
            items=[DeliveryView.model_validate(delivery) for delivery in page],
            next_cursor=str(page[-1].id) if len(found) > query.limit else None,
        )

    @router.post(
        "/{webhook_id}/deliveries/{delivery_id}/resend",
        status_code=status.HTTP_202_ACCEPTED,
        response_model=DeliveryView,
        openapi_extra=safe_to_repeat(),
    )
    async def send_again(request: Request, webhook_id: PathId, delivery_id: PathId, user_id: Caller) -> Response:
        """Send a delivered or failed message again, with the same id."""

        async def send(connection: AsyncConnection[Any]) -> Answer:
            await store.get_webhook(connection, webhook_id, user_id)
            return Answer(202, DeliveryView.model_validate(await store.send_again(connection, webhook_id, delivery_id)))

        return await change_once(request, user_id, runtime(), send)

    return router
