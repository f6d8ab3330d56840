"""Limits concurrent searches, which read whole tables, so that they leave connections for other requests."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from bulkport.identifiers import UserId
from bulkport.slots import Slots
from commandapi.auth import current_user
from commandapi.settings import Settings


def search_slots(settings: Settings) -> Slots:
    """Places for searches, fewer than there are connections for requests."""
    return Slots(
        "searches",
        in_all=max(1, settings.api_pool_size - 3),
        per_user=max(1, settings.api_pool_size // 3),
        wait_seconds=settings.database_wait_seconds,
    )


async def search_slot(request: Request, user_id: Annotated[UserId, Depends(current_user)]) -> AsyncIterator[None]:
    """Dependency of lists: a place where the request searches, or counts, which reads as much."""
    slots: Slots = request.app.state.search_slots
    async with slots.slot(user_id):
        yield
