"""Routes to list commands, all or those of a platform, and to read and change single ones."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final

import psycopg
from fastapi import APIRouter, Depends, Query, Response, status
from sqlalchemy import Select, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from bulkport.errors import NotFound, ValidationFailed
from bulkport.fastapi.bodies import JsonBody
from bulkport.fastapi.change import safe_to_repeat
from bulkport.fastapi.schemas import PathId
from commandapi.commands.models import COMMANDS_BY_ID, Command
from commandapi.commands.schemas import CommandBody, CommandQuery, CommandView
from commandapi.paging import Page, read_page
from commandapi.platforms.models import PLATFORMS_BY_ID, Platform
from commandapi.searching import search_slot
from commandapi.single_changes import Changing, Created
from commandapi.tenancy import CurrentTenant, ReadingSessions, Tenant

router = APIRouter(prefix="/api", tags=["commands"], dependencies=[Depends(search_slot)])

_SORT_COLUMNS: Final[dict[str, InstrumentedAttribute[Any]]] = {
    "howTo": Command.how_to,
    "commandLine": Command.command_line,
    "platformId": Command.platform_id,
    "id": Command.id,
    "createdAt": Command.created_at,
}

_command_body: Final = JsonBody(CommandBody)


@router.get("/commands")
async def list_commands(
    query: Annotated[CommandQuery, Query()], sessions: ReadingSessions, tenant: CurrentTenant
) -> Page[CommandView]:
    """A page of commands, optionally those whose description or command line contains a text."""
    async with sessions() as session:
        return await _read_commands(session, select(Command).where(*tenant.sees(Command.owner_id)), query)


@router.get("/platforms/{platform_id:digits}/commands")
async def list_commands_of_platform(
    platform_id: PathId, query: Annotated[CommandQuery, Query()], sessions: ReadingSessions, tenant: CurrentTenant
) -> Page[CommandView]:
    """A page of a platform's commands."""
    async with sessions() as session:
        await PLATFORMS_BY_ID.require(session, platform_id, *tenant.sees(Platform.owner_id))
        return await _read_commands(
            session, select(Command).where(Command.platform_id == platform_id, *tenant.sees(Command.owner_id)), query
        )


@router.post(
    "/commands",
    status_code=status.HTTP_201_CREATED,
    response_model=CommandView,
    openapi_extra=safe_to_repeat(_command_body.openapi),
)
async def create_command(
    body: Annotated[CommandBody, Depends(_command_body)], change: Changing, tenant: CurrentTenant
) -> Response:
    """Create a command of a platform; `Location` is its URL."""

    async def add(session: AsyncSession) -> Created:
        command = Command(**body.model_dump(), owner_id=tenant.user_id)
        await _require_platform(session, body.platform_id, tenant)
        session.add(command)
        await session.flush()
        return Created(CommandView.model_validate(command), f"/api/commands/{command.id}")

    with _platform_must_exist(body.platform_id):
        return await change(add)


@router.get("/commands/{command_id:digits}")
async def get_command(command_id: PathId, sessions: ReadingSessions, tenant: CurrentTenant) -> CommandView:
    """One command."""
    async with sessions() as session:
        return CommandView.model_validate(await COMMANDS_BY_ID.get(session, command_id, *tenant.sees(Command.owner_id)))


@router.put(
    "/commands/{command_id:digits}",
    status_code=status.HTTP_204_NO_CONTENT,
    openapi_extra=safe_to_repeat(_command_body.openapi),
)
async def replace_command(
    command_id: PathId, body: Annotated[CommandBody, Depends(_command_body)], change: Changing, tenant: CurrentTenant
) -> Response:
    """Replace a command's fields."""

    async def replace(session: AsyncSession) -> None:
        if seen := tenant.sees(Command.owner_id):
            await COMMANDS_BY_ID.require(session, command_id, *seen)
        await _require_platform(session, body.platform_id, tenant)
        await COMMANDS_BY_ID.replace(session, command_id, body.model_dump(), *seen)

    with _platform_must_exist(body.platform_id):
        return await change(replace)


@router.delete(
    "/commands/{command_id:digits}",
    status_code=status.HTTP_204_NO_CONTENT,
    openapi_extra=safe_to_repeat(),
)
async def delete_command(command_id: PathId, change: Changing, tenant: CurrentTenant) -> Response:
    """Delete a command. This needs a key with the scope `admin`, or with `write` if the user created it."""
    seen, removable = tenant.sees(Command.owner_id), tenant.removes(Command.owner_id)

    async def remove(session: AsyncSession) -> None:
        await COMMANDS_BY_ID.remove(session, command_id, seen=seen, removable=removable)

    return await change(remove)


async def _read_commands(session: AsyncSession, commands: Select[Command], query: CommandQuery) -> Page[CommandView]:
    return await read_page(
        session,
        commands,
        query,
        Page[CommandView],
        identity=Command.id,
        sort_by=_SORT_COLUMNS[query.sort_by],
        search_in=[Command.how_to, Command.command_line],
        long_texts=[Command.command_line],
    )


@contextmanager
def _platform_must_exist(platform_id: int) -> Iterator[None]:
    """The foreign key decides, not a look before the write: the platform may go in between."""
    try:
        yield
    except IntegrityError as refused:
        if not isinstance(refused.orig, psycopg.errors.ForeignKeyViolation):
            raise
        raise _no_platform(platform_id) from None


async def _require_platform(session: AsyncSession, platform_id: int, tenant: Tenant) -> None:
    """A foreign key does not check which platforms a user sees."""
    if not (seen := tenant.sees(Platform.owner_id)):
        return
    try:
        await PLATFORMS_BY_ID.require(session, platform_id, *seen)
    except NotFound:
        raise _no_platform(platform_id) from None


def _no_platform(platform_id: int) -> ValidationFailed:
    return ValidationFailed({"platformId": [f"platformId {platform_id} does not exist"]})
