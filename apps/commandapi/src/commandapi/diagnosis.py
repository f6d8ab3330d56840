"""The checks of `commandapi doctor`: those of `bulkport doctor` and the application's own."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import psycopg

from bulkport.diagnosis import Finding, diagnose
from bulkport.imports.declaration.mistakes import Mistake
from commandapi import migrations
from commandapi.auth.key_admission import CHECKS_AT_ONCE, STRANGERS_AT_ONCE
from commandapi.composition import build_bulkport
from commandapi.ownership import Tenancy
from commandapi.row_security import has_row_security
from commandapi.settings import Environment, Settings

_LOWERED: Final = "COMMANDAPI_API_POOL_SIZE, COMMANDAPI_UPLOAD_LIMIT and the workers' concurrency"
_WORKERS: Final = """
    SELECT count(*) FROM bulkport.servers WHERE last_heartbeat > clock_timestamp() - interval '1 minute'
"""


async def examine(settings: Settings, state: migrations.MigrationState) -> list[Mistake | Finding]:
    """The problems and notes about a deployment.

    Parameters
    ----------
    settings:
        With `database_url` set.
    state:
        Which migrations the database has; usable ones.

    Raises
    ------
    BulkportError
        The database cannot be worked on at all.
    psycopg.Error
        It cannot be asked.
    """
    assert settings.database_url is not None
    bulkport = build_bulkport(settings)
    found: list[Mistake | Finding] = [*await bulkport.check()]
    connections = bulkport.most_connections + STRANGERS_AT_ONCE + CHECKS_AT_ONCE
    async with await psycopg.AsyncConnection.connect(
        settings.database_url, autocommit=True, connect_timeout=10, prepare_threshold=None
    ) as connection:
        found += await diagnose(connection, connections=connections, lowered=_LOWERED)
        found += [finding async for finding in _of_database(connection, settings, state)]
    found += await asyncio.to_thread(lambda: list(_of_machine(settings)))
    return found


async def _of_database(
    connection: psycopg.AsyncConnection[Any], settings: Settings, state: migrations.MigrationState
) -> AsyncIterator[Finding]:
    if not state.is_current:
        yield Finding(
            f"the database is at migration {state.current}, newer than this program's {state.head}",
            "upgrade this program too",
            is_wrong=False,
        )
    wanted = settings.tenancy is Tenancy.ISOLATED
    if await has_row_security(connection) is not wanted:
        yield Finding(
            f"row-level security of platforms and commands does not fit COMMANDAPI_TENANCY={settings.tenancy}",
            "run commandapi db upgrade with it, as the owner of the tables",
            is_wrong=wanted,
        )
    row = await (await connection.execute(_WORKERS)).fetchone()
    if not row or not row[0]:
        yield Finding(
            "no worker had a heartbeat within the last minute, so imports wait",
            "start commandapi worker, or serve with --workers",
            is_wrong=False,
        )


def _of_machine(settings: Settings) -> Iterator[Finding]:
    folder = settings.spool_dir or tempfile.gettempdir()
    try:
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free
    except OSError as error:
        reason = error.strerror or str(error)
        yield Finding(
            f"long bodies cannot be stored in {folder}: {reason}", "set COMMANDAPI_SPOOL_DIR to another folder"
        )
    else:
        if free < settings.disk_watermark_bytes:
            yield Finding(
                f"{folder} has {free:,} bytes free, so uploads are refused (507)",
                "make room, or lower COMMANDAPI_DISK_WATERMARK_BYTES",
            )
    if settings.dashboard_open and settings.environment is Environment.PRODUCTION:
        yield Finding(
            "the dashboard is open to everyone who can reach the server",
            "set COMMANDAPI_DASHBOARD_OIDC_CLIENT_ID in place of COMMANDAPI_DASHBOARD_OPEN",
            is_wrong=False,
        )
