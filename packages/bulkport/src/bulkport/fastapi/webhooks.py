"""`/webhooks`: messages to a user that imports have ended, and what became of each."""

from collections.abc import Callable
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Query, Response, status
from pydantic import Field
from starlette.requests import Request

from bulkport.egress import EgressPolicy
from bulkport.fastapi.bodies import JsonBody
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

    url: _Url
    events: Annotated[_Events, Field(description="What to be told of; all by default.")] = [  # noqa: RUF012
        "import.completed",
        "import.partial_success",
        "import.failed",
        "import.cancelled",
    ]
    description: _Description | None = None


class WebhookChange(WireBody):
    """What of a webhook to change; members that are left out stay as they are."""

    url: Annotated[_Url | None, Field(examples=["https://example.org/hooks/imports"])] = None
    events: Annotated[_Events | None, Field(examples=[["import.failed"]])] = None
    description: Annotated[_Description | None, Field(examples=["alerts only"])] = None
    is_active: Annotated[bool | None, Field(description="False pauses it, true resumes it.", examples=[True])] = None


class WebhookView(WireView):
    """A webhook without its secret."""

    id: int
    url: str
    events: list[str]
    description: str | None
    is_active: bool
    created_at: UtcTime


class WebhookWithSecret(WebhookView):
    """A webhook with its secret, which is shown this once."""

    secret: str


class WebhookList(WireView):
    """All webhooks of a user."""

    items: list[WebhookView]


class DeliveryView(WireView):
    """One message to a webhook, and what became of it."""

    id: int
    message_id: str
    """The `webhook-id` of every attempt."""
    event: str
    import_id: int | None
    state: DeliveryState
    attempts: int
    last_status: int | None
    last_error: str | None
    created_at: UtcTime
    last_attempt_at: UtcTime | None
    delivered_at: UtcTime | None


class DeliveryPage(WireView):
    """Some deliveries of a webhook, newest first."""

    items: list[DeliveryView]
    next_cursor: str | None


class DeliveryQuery(WireQuery):
    """Query parameters of the list of deliveries."""

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Annotated[int | None, Field(ge=1, le=MAX_BIGINT, description="`nextCursor` of the page before.")] = None


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
        """Own webhooks, oldest first, without their secrets."""
        async with runtime().of_user(user_id).connection() as connection:
            return WebhookList(
                items=[WebhookView.model_validate(one) for one in await store.list_webhooks(connection, user_id)]
            )

    @router.post(
        "",
        status_code=status.HTTP_201_CREATED,
        openapi_extra=_CREATION,
        responses={409: {"description": "The user has as many webhooks as one user may have."}},
    )
    async def create_webhook(
        request: Request, response: Response, user_id: Caller, body: Annotated[NewWebhook, Depends(_new_webhook)]
    ) -> WebhookWithSecret:
        """Add a webhook. The answer shows its signing secret, this once."""
        policy.check_url(body.url, "url")
        async with runtime().of_user(user_id).connection() as connection:
            webhook = await store.create_webhook(
                connection,
                user_id,
                url=body.url,
                events=list(dict.fromkeys(body.events)),
                description=body.description,
                secret=new_secret(),
            )
        response.headers["Location"] = f"{request_path(request)}/{webhook.id}"
        return WebhookWithSecret.model_validate(webhook)

    @router.get("/{webhook_id}")
    async def get_webhook(webhook_id: PathId, user_id: Caller) -> WebhookView:
        """One webhook."""
        async with runtime().of_user(user_id).connection() as connection:
            return WebhookView.model_validate(await store.get_webhook(connection, webhook_id, user_id))

    @router.patch("/{webhook_id}", openapi_extra=_webhook_change.openapi)
    async def change_webhook(
        webhook_id: PathId, user_id: Caller, body: Annotated[WebhookChange, Depends(_webhook_change)]
    ) -> WebhookView:
        """Change a webhook, or switch it off or on."""
        if body.url is not None:
            policy.check_url(body.url, "url")
        async with runtime().of_user(user_id).connection() as connection:
            webhook = await store.change_webhook(connection, webhook_id, user_id, **body.model_dump())
        return WebhookView.model_validate(webhook)

    @router.delete("/{webhook_id}", status_code=status.HTTP_204_NO_CONTENT)
    async def delete_webhook(webhook_id: PathId, user_id: Caller) -> None:
        """Remove a webhook and its deliveries. What waits is not sent."""
        async with runtime().of_user(user_id).connection() as connection:
            await store.delete_webhook(connection, webhook_id, user_id)

    @router.post("/{webhook_id}/secret")
    async def rotate_secret(webhook_id: PathId, user_id: Caller) -> WebhookWithSecret:
        """Replace the signing secret. For a day messages are signed with both."""
        async with runtime().of_user(user_id).connection() as connection:
            webhook = await store.rotate_secret(connection, webhook_id, user_id, new_secret())
        return WebhookWithSecret.model_validate(webhook)

    @router.post("/{webhook_id}/ping", status_code=status.HTTP_202_ACCEPTED)
    async def ping(webhook_id: PathId, user_id: Caller) -> DeliveryView:
        """Send a test message (`webhook.ping`)."""
        async with runtime().of_user(user_id).connection() as connection:
            await store.get_webhook(connection, webhook_id, user_id)
            return DeliveryView.model_validate(await store.create_ping(connection, webhook_id))

    @router.get("/{webhook_id}/deliveries")
    async def list_deliveries(
        webhook_id: PathId, user_id: Caller, query: Annotated[DeliveryQuery, Query()]
    ) -> DeliveryPage:
        """What was sent to a webhook, newest first, and what was answered."""
        async with runtime().of_user(user_id).connection() as connection:
            await store.get_webhook(connection, webhook_id, user_id)
            found = await store.list_deliveries(connection, webhook_id, before=query.cursor, limit=query.limit + 1)
        page = found[: query.limit]
        return DeliveryPage(
            items=[DeliveryView.model_validate(delivery) for delivery in page],
            next_cursor=str(page[-1].id) if len(found) > query.limit else None,
        )

    @router.post("/{webhook_id}/deliveries/{delivery_id}/resend", status_code=status.HTTP_202_ACCEPTED)
    async def send_again(webhook_id: PathId, delivery_id: PathId, user_id: Caller) -> DeliveryView:
        """Send a message that was delivered or has failed once more, under the same id."""
        async with runtime().of_user(user_id).connection() as connection:
            await store.get_webhook(connection, webhook_id, user_id)
            return DeliveryView.model_validate(await store.send_again(connection, webhook_id, delivery_id))

    return router
