"""Health checks for load balancers and container platforms, without a key.

`/health/live` says that the process serves. `/health/ready` says that it can do its work: the database answers and has
the migrations that this program needs (or newer ones: while a new version is rolled out, the old one serves on). It
also reports whether workers are alive and the disk has room; without them requests are still answered, so neither makes
it fail.
"""

import asyncio
import shutil
import tempfile
from contextvars import Context
from typing import Any, Final, Literal

import psycopg
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from starlette.requests import Request

from bulkport.errors import ServiceUnavailable
from bulkport.pools import AsyncPool
from commandapi import migrations
from commandapi.settings import Settings

_ACQUIRE_SECONDS: Final = 2.0
# Heartbeats come every few seconds; a silent server is removed by the others.
_LIVING_WORKERS: Final = """
    SELECT FROM bulkport.servers WHERE last_heartbeat > clock_timestamp() - interval '1 minute' LIMIT 1
"""

router = APIRouter(prefix="/health", tags=["health"])


class Health(BaseModel):
    """Response of a health check that passed."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    status: Literal["ok"] = "ok"
    """Always `ok`; otherwise the response is 503."""


class Checks(BaseModel):
    """The checks."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    database: Literal["ok"] = "ok"
    """It responds."""
    migrations: Literal["ok", "newer"]
    """`newer`: the database was migrated by a newer release."""
    workers: Literal["ok", "none"]
    """`none`: accepted imports wait until a worker runs."""
    disk: Literal["ok", "low"]
    """`low`: uploads are refused (507) until space is free."""


class Readiness(Health):
    """Response of the readiness check."""

    checks: Checks


@router.get("/live")
async def check_live() -> Health:
    """The process is serving requests."""
    return Health()


@router.get("/ready", responses={503: {"description": "The database is unavailable or not migrated."}})
async def check_ready(request: Request) -> Readiness:
    """The database responds and is migrated."""
    state: Any = request.app.state
    # Anybody may ask: those who ask at one time are told what one look finds.
    looking: asyncio.Task[Readiness] | None = getattr(state, "readiness", None)
    if looking is None or looking.done():
        looking = state.readiness = asyncio.create_task(_look(state), name="readiness", context=Context())
    return await asyncio.shield(looking)


async def _look(state: Any) -> Readiness:
    pool: AsyncPool = state.key_pool
    try:
        async with pool.connection(timeout=_ACQUIRE_SECONDS) as connection:
            cursor = await connection.execute(migrations.SELECT_CURRENT)
            row = await cursor.fetchone()
            found = migrations.MigrationState(row[0] if row else None, state.newest_migration)
            workers = found.is_usable and (await connection.execute(_LIVING_WORKERS)).rowcount > 0
    except psycopg.errors.UndefinedTable:
        found, workers = migrations.MigrationState(None, state.newest_migration), False
    except psycopg.OperationalError:
        raise ServiceUnavailable("The database does not respond.") from None
    if not found.is_usable:
        raise ServiceUnavailable(
            f"The database is at migration {found.current or 'none'}, this program needs {found.head}; "
            "run `commandapi db upgrade`."
        )
    settings: Settings = state.settings
    has_room = await asyncio.to_thread(_has_room, settings)
    return Readiness(
        checks=Checks(
            migrations="ok" if found.is_current else "newer",
            workers="ok" if workers else "none",
            disk="ok" if has_room else "low",
        )
    )


def _has_room(settings: Settings) -> bool:
    """Whether the disk where long bodies wait is above its watermark."""
    try:
        return free_disk_bytes(settings) >= settings.disk_watermark_bytes
    except OSError:
        return False


def free_disk_bytes(settings: Settings) -> int:
    """Free space where long bodies wait.

    Raises
    ------
    OSError
        The folder is not there.
    """
    return shutil.disk_usage(settings.spool_dir or tempfile.gettempdir()).free
