"""The Command API's own Bulkport: its resources, with the limits and times of its settings."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from bulkport.app import Bulkport
from bulkport.imports.process import AttemptPolicy
from bulkport.worker_settings import WorkerSettings
from commandapi.commands.resource import COMMANDS
from commandapi.ownership import OWNER, Tenancy
from commandapi.platforms.resource import PLATFORMS
from commandapi.settings import Settings


def build_bulkport(settings: Settings, context: Mapping[str, Callable[..., Any]] | None = None) -> Bulkport:
    """Bulk imports of platforms and commands.

    Parameters
    ----------
    context:
        Says whose rows a request imports, where each user has a catalogue of their own; None: no requests come.
    """
    if context is None:
        context = {OWNER: _no_requests} if settings.tenancy is Tenancy.ISOLATED else {}
    same_owner = {column: column for column in context}
    references = tuple(replace(reference, match=same_owner) for reference in COMMANDS.references)
    return Bulkport(
        settings.database_url,
        resources=[
            replace(PLATFORMS, context=context, undo=settings.undo),
            replace(COMMANDS, context=context, references=references, undo=settings.undo),
        ],
        limits=settings.import_limits(),
        pool_size=settings.api_pool_size,
        chunk_workers=settings.chunk_workers,
        egress=settings.egress_policy(),
        stores=settings.object_stores(),
        staging=None if settings.staging is None else settings.staging.object_store(),
        worker=WorkerSettings(retention=settings.job_retention(), import_retention=settings.import_retention()),
    )


def _no_requests() -> None:
    """Stands in for the signed-in user in a worker, which takes the owner from the import."""
    raise RuntimeError("only a request has a signed-in user")


async def run_worker(
    settings: Settings, *, concurrency: int, stop: asyncio.Event, heavy: bool = True, server_name: str | None = None
) -> None:
    """Run background jobs until `stop` is set."""
    worker = WorkerSettings(
        concurrency=concurrency,
        heavy=heavy,
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
            max_outage_seconds=settings.import_max_outage_seconds,
        ),
    )
    await build_bulkport(settings).run_worker(stop, settings=worker, name=server_name)


async def rescue_server(settings: Settings, server_name: str) -> None:
    """Give the jobs of a worker process that was seen to die back to their queues, now."""
    await build_bulkport(settings).rescue(server_name)
