"""Injects faults one after another, sometimes two at a time."""

import asyncio
import contextlib
import random
from typing import Final

import psycopg

from bulkport.embedded import EmbeddedDatabaseError
from chaos.faults import FAULTS, NotPossibleHere, Site
from chaos.ledger import Ledger

_FAULT_SECONDS: Final = 60.0


async def inject(site: Site, ledger: Ledger, kinds: list[str], pause_seconds: float, stop: asyncio.Event) -> None:
    """Break things until stopped; everything is restored on return.

    Every kind comes before any comes again, in an order that chance chooses.
    """
    queue: list[str] = []
    running: set[asyncio.Task[None]] = set()
    while not stop.is_set():
        if not queue:
            queue = [kind for kind in kinds if kind not in ledger.skipped]
            site.chance.shuffle(queue)
            if not queue:
                break
        task = asyncio.create_task(_inject(site, ledger, queue.pop()))
        running.add(task)
        task.add_done_callback(running.discard)
        # Most faults are over before the next one; some meet it.
        if site.chance.random() < 0.6:
            await asyncio.wait([task])
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), site.chance.expovariate(1 / pause_seconds))
    if running:
        await asyncio.gather(*running)
    await heal(site)


async def _inject(site: Site, ledger: Ledger, kind: str) -> None:
    try:
        async with asyncio.timeout(_FAULT_SECONDS):
            await FAULTS[kind](site)
        ledger.faults[kind] += 1
    except NotPossibleHere as reason:
        ledger.skipped[kind] = str(reason)
    except (psycopg.Error, OSError, EmbeddedDatabaseError):
        # Another fault came first, such as a stopped server or a full disk.
        ledger.faults[kind] += 1


async def heal(site: Site) -> None:
    """Make everything whole: networks, processes, PostgreSQL."""
    site.api_proxy.heal()
    site.database_proxy.heal()
    for member in (*site.fleet.workers, *([site.fleet.api] if site.fleet.api else [])):
        member.thaw()
    await site.database.ensure_running()


def chance_of(seed: int, what: str) -> random.Random:
    """Chance of one part of a run, which does not depend on how the others take turns."""
    return random.Random(f"{seed}/{what}")
