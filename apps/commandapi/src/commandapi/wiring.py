"""The Command API's own Bulkport: its resources, with the limits and times of its settings."""

import asyncio

from bulkport.app import Bulkport
from bulkport.imports.process import AttemptPolicy
from bulkport.worker_settings import WorkerSettings
from commandapi.commands.resource import COMMANDS
from commandapi.platforms.resource import PLATFORMS
from commandapi.settings import Settings


def build_bulkport(settings: Settings) -> Bulkport:
    """Bulk imports of platforms and commands."""
    return Bulkport(
        settings.database_url,
        resources=[PLATFORMS, COMMANDS],
        limits=settings.import_limits(),
        chunk_workers=settings.import_lanes,
        egress=settings.egress_policy(),
        stores=settings.object_stores(),
    )


async def run_worker(
    settings: Settings, *, concurrency: int, stop: asyncio.Event, server_name: str | None = None
) -> None:
    """Run background jobs until `stop` is set."""
    worker = WorkerSettings(
        concurrency=concurrency,
        chunk_slots=settings.worker_chunk_slots,
        heartbeat_seconds=settings.worker_heartbeat_seconds,
        stalled_seconds=settings.worker_stalled_seconds,
        shutdown_seconds=settings.worker_shutdown_seconds,
        retention=settings.job_retention(),
        import_retention=settings.import_retention(),
        attempts=AttemptPolicy(
            max_attempts=settings.import_max_attempts,
            base_seconds=settings.import_retry_base_seconds,
            max_seconds=settings.import_retry_max_seconds,
        ),
    )
    await build_bulkport(settings).run_worker(stop, settings=worker, name=server_name)


async def rescue_server(settings: Settings, server_name: str) -> None:
    """Give the jobs of a worker process that was seen to die back to their queues, now."""
    await build_bulkport(settings).rescue(server_name)
