"""Routes to list platforms and to read and change single ones."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Response, status
from sqlalchemy import BigInteger, Text, column, exists, select, table
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from bulkport.fastapi.bodies import JsonBody
from bulkport.fastapi.change import safe_to_repeat
from bulkport.fastapi.schemas import PathId
from commandapi.paging import Page, read_page
from commandapi.platforms.models import PLATFORMS_BY_ID, Platform
from commandapi.platforms.schemas import PlatformBody, PlatformQuery, PlatformView
from commandapi.searching import search_slot
from commandapi.single_changes import Changing, Created
from commandapi.tenancy import CurrentTenant, ReadingSessions

router = APIRouter(prefix="/api/platforms", tags=["platforms"], dependencies=[Depends(search_slot)])

_SORT_COLUMNS: Final[dict[str, InstrumentedAttribute[Any]]] = {
    "platformName": Platform.platform_name,
    "id": Platform.id,
    "createdAt": Platform.created_at,
}

# What goes with a platform; the mapped class is built on this one.
_COMMANDS: Final = table("commands", column("platform_id", BigInteger), column("owner_id", Text), schema="public")
_platform_body: Final = JsonBody(PlatformBody)


@router.get("")
async def list_platforms(
    query: Annotated[PlatformQuery, Query()], sessions: ReadingSessions, tenant: CurrentTenant
) -> Page[PlatformView]:
    """A page of platforms, optionally those whose name contains a text."""
    async with sessions() as session:
        return await read_page(
            session,
            select(Platform).where(*tenant.sees(Platform.owner_id)),
            query,
            Page[PlatformView],
            identity=Platform.id,
            sort_by=_SORT_COLUMNS[query.sort_by],
            search_in=[Platform.platform_name],
        )


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    response_model=PlatformView,
    openapi_extra=safe_to_repeat(_platform_body.openapi),
)
async def create_platform(
    body: Annotated[PlatformBody, Depends(_platform_body)], change: Changing, tenant: CurrentTenant
) -> Response:
    """Create a platform; `Location` is its URL."""

    async def add(session: AsyncSession) -> Created:
        platform = Platform(**body.model_dump(), owner_id=tenant.user_id)
        session.add(platform)
        await session.flush()
        return Created(PlatformView.model_validate(platform), f"/api/platforms/{platform.id}")

    return await change(add)


@router.get("/{platform_id:digits}")
async def get_platform(platform_id: PathId, sessions: ReadingSessions, tenant: CurrentTenant) -> PlatformView:
    """One platform."""
    async with sessions() as session:
        return PlatformView.model_validate(
            await PLATFORMS_BY_ID.get(session, platform_id, *tenant.sees(Platform.owner_id))
        )


@router.put(
    "/{platform_id:digits}",
    status_code=status.HTTP_204_NO_CONTENT,
    openapi_extra=safe_to_repeat(_platform_body.openapi),
)
async def replace_platform(
    platform_id: PathId,
    body: Annotated[PlatformBody, Depends(_platform_body)],
    change: Changing,
    tenant: CurrentTenant,
) -> Response:
    """Replace a platform's fields."""

    async def replace(session: AsyncSession) -> None:
        await PLATFORMS_BY_ID.replace(session, platform_id, body.model_dump(), *tenant.sees(Platform.owner_id))

    return await change(replace)


@router.delete(
    "/{platform_id:digits}",
    status_code=status.HTTP_204_NO_CONTENT,
    openapi_extra=safe_to_repeat(),
)
async def delete_platform(platform_id: PathId, change: Changing, tenant: CurrentTenant) -> Response:
    """Delete a platform and all its commands.

    This needs a key with the scope `admin`, or with `write` if the user created the platform and all its commands.
    """
    removable = tenant.removes(Platform.owner_id)
    if removable:
        others = _COMMANDS.c.owner_id.is_distinct_from(tenant.user_id)
        removable.append(~exists().where(_COMMANDS.c.platform_id == platform_id, others))

    async def remove(session: AsyncSession) -> None:
        await PLATFORMS_BY_ID.remove(session, platform_id, seen=tenant.sees(Platform.owner_id), removable=removable)

    return await change(remove)
