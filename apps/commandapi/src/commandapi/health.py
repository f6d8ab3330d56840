"""Health checks for load balancers and container platforms; they need no key.

`/health/live` says that the process serves. `/health/ready` says that it can do its work: the database answers and has
exactly the migrations that this program knows.
"""

from typing import Final, Literal

import psycopg
from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request

from bulkport.errors import ServiceUnavailable
from bulkport.pools import AsyncPool
from commandapi import migrations

_ACQUIRE_SECONDS: Final = 2.0

router = APIRouter(prefix="/health", tags=["health"])


class Health(BaseModel):
    """Answer of a health check that passed."""

    status: Literal["ok"] = "ok"


@router.get("/live")
async def check_live() -> Health:
    """The process serves requests."""
    return Health()


@router.get("/ready", responses={503: {"description": "The database is away, or is not migrated."}})
async def check_ready(request: Request) -> Health:
    """The database answers and is migrated."""
    pool: AsyncPool = request.app.state.key_pool
    needed: str = request.app.state.newest_migration
    try:
        async with pool.connection(timeout=_ACQUIRE_SECONDS) as connection:
            cursor = await connection.execute(migrations.SELECT_CURRENT)
            row = await cursor.fetchone()
    except psycopg.errors.UndefinedTable:
        row = None
    except psycopg.OperationalError:
        raise ServiceUnavailable("The database does not answer.") from None
    current = row[0] if row else None
    if current != needed:
        raise ServiceUnavailable(
            f"The database is at migration {current or 'none'}, this program needs {needed}; "
            "run `commandapi db upgrade`."
        )
    return Health()
