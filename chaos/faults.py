"""The faults. Each is a function that breaks something, waits, and leaves it for a supervisor to find."""

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psycopg

from chaos.database import ChaosDatabase
from chaos.fleet import Fleet
from chaos.proxy import Proxy


class NotPossibleHere(Exception):
    """This machine does not permit the fault; the message says why."""


@dataclass(slots=True)
class Site:
    """What can be broken."""

    database: ChaosDatabase
    fleet: Fleet
    api_proxy: Proxy
    database_proxy: Proxy
    chance: random.Random
    clock_files: list[Path] = field(default_factory=list)

    async def wait(self, least: float, most: float) -> None:
        """Wait for a time that chance chooses."""
        await asyncio.sleep(self.chance.uniform(least, most))


Fault = Callable[[Site], Awaitable[None]]
FAULTS: Final[dict[str, Fault]] = {}


def _fault(name: str) -> Callable[[Fault], Fault]:
    def add(function: Fault) -> Fault:
        FAULTS[name] = function
        return function

    return add


# Processes


@_fault("worker killed")
async def kill_worker(site: Site) -> None:
    """SIGKILL to one worker; its supervisor starts another."""
    if site.fleet.workers:
        site.chance.choice(site.fleet.workers).kill()


@_fault("all workers killed")
async def kill_workers(site: Site) -> None:
    """Send SIGKILL to all workers at once."""
    for worker in site.fleet.workers:
        worker.kill()


@_fault("worker stopped and continued")
async def freeze_worker(site: Site) -> None:
    """Send SIGSTOP, and SIGCONT before or after the other workers have declared it dead."""
    if site.fleet.workers:
        worker = site.chance.choice(site.fleet.workers)
        worker.freeze()
        await site.wait(0.2, 6.0)
        worker.thaw()


@_fault("API killed")
async def kill_api(site: Site) -> None:
    """SIGKILL to the API."""
    if site.fleet.api is not None:
        site.fleet.api.kill()


@_fault("API stopped and continued")
async def freeze_api(site: Site) -> None:
    """SIGSTOP and SIGCONT of the API."""
    if (api := site.fleet.api) is not None:
        api.freeze()
        await site.wait(0.2, 3.0)
        api.thaw()


@_fault("deployment")
async def deploy(site: Site) -> None:
    """Start a new API and new workers, then stop the old ones."""
    old_api, old_workers = site.fleet.api, list(site.fleet.workers)
    for _ in old_workers:
        site.fleet.start_worker()
    await site.fleet.start_api()
    await site.wait(0.5, 1.5)
    for member in (*old_workers, old_api):
        if member is not None and member is not site.fleet.api:
            member.terminate()
            if not await member.ended(30):
                member.kill()


# PostgreSQL


@_fault("backends terminated")
async def terminate_backends(site: Site) -> None:
    """pg_terminate_backend for some or all."""
    share = site.chance.choice((0.2, 1.0))
    await site.database.execute(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
        f"AND backend_type = 'client backend' AND random() < {share}"
    )


@_fault("statements cancelled")
async def cancel_statements(site: Site) -> None:
    """pg_cancel_backend for all."""
    await site.database.execute(
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND state = 'active'"
    )


@_fault("backend killed")
async def kill_backend(site: Site) -> None:
    """SIGKILL to one backend: PostgreSQL ends all others and recovers."""
    await site.database.kill_backend(site.chance)


async def _restart(site: Site, how: signal.Signals, away: tuple[float, float]) -> None:
    await site.database.stop(how)
    await site.wait(*away)
    await site.database.ensure_running()


@_fault("PostgreSQL restarted, fast")
async def restart_fast(site: Site) -> None:
    """A fast shutdown, and a start."""
    await _restart(site, signal.SIGINT, (0.0, 2.0))


@_fault("PostgreSQL restarted, immediate")
async def restart_immediate(site: Site) -> None:
    """An immediate shutdown, and a start that recovers."""
    await _restart(site, signal.SIGQUIT, (0.0, 2.0))


@_fault("PostgreSQL killed")
async def crash(site: Site) -> None:
    """SIGKILL to the main process, and a start that recovers."""
    await _restart(site, signal.SIGKILL, (0.0, 2.0))


@_fault("connections exhausted")
async def exhaust(site: Site) -> None:
    """Occupy every PostgreSQL connection."""
    taken: list[psycopg.AsyncConnection[Any]] = []
    try:
        while len(taken) < 400:
            taken.append(await site.database.open())
    except psycopg.OperationalError:
        await site.wait(0.5, 3.0)
    finally:
        for connection in taken:
            await connection.close()


@_fault("target table locked")
async def lock(site: Site) -> None:
    """ACCESS EXCLUSIVE on a table that imports write."""
    table = site.chance.choice(("platforms", "commands"))
    async with await site.database.open() as connection, connection.transaction():
        await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        await site.wait(0.5, 4.0)


@_fault("target table rewritten")
async def rewrite(site: Site) -> None:
    """Run VACUUM FULL, and add and drop a column."""
    table = site.chance.choice(("platforms", "commands"))
    await site.database.execute(f"VACUUM FULL {table}")
    await site.database.execute(f"ALTER TABLE {table} ADD COLUMN chaos double precision DEFAULT random()")
    await site.wait(0.0, 0.5)
    await site.database.execute(f"ALTER TABLE {table} DROP COLUMN chaos")


@_fault("disk full")
async def fill_disk(site: Site) -> None:
    """Fill PostgreSQL's disk, then free it again, and start PostgreSQL if it stopped."""
    disk = site.database.disk
    if disk is None:
        raise NotPossibleHere("no file system may be mounted here, and no other disk may be filled")
    filler = disk / "filler"
    try:
        with filler.open("wb") as file, contextlib.suppress(OSError):
            while free := os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize:
                os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), max(4096, free))
        await site.wait(0.5, 3.0)
    finally:
        filler.unlink(missing_ok=True)
    await asyncio.sleep(0.2)
    if not site.database.is_running:
        await site.database.ensure_running()


# The network


@_fault("connections to PostgreSQL cut")
async def cut_database(site: Site) -> None:
    """RST on every connection."""
    site.database_proxy.cut()


@_fault("connections to PostgreSQL cut in an answer")
async def cut_database_in_answers(site: Site) -> None:
    """Only the first bytes of a response arrive, so that the outcome of a COMMIT is unknown."""
    site.database_proxy.cut_in_answers(site.chance.choice((0, 0, 1, 5, 17)))
    await site.wait(0.02, 0.3)
    site.database_proxy.heal()


@_fault("PostgreSQL slow to answer")
async def delay_database(site: Site) -> None:
    """Each block is held back."""
    site.database_proxy.delay(site.chance.uniform(0.005, 0.1))
    await site.wait(0.5, 3.0)
    site.database_proxy.heal()


@_fault("PostgreSQL black-holed")
async def black_hole_database(site: Site) -> None:
    """Nothing arrives and nothing is closed; then the network is whole again, or all connections are gone."""
    site.database_proxy.black_hole()
    await site.wait(0.5, 5.0)
    if site.chance.random() < 0.5:
        site.database_proxy.cut()
    site.database_proxy.heal()


@_fault("connections of clients cut")
async def cut_clients(site: Site) -> None:
    """RST on every connection."""
    site.api_proxy.cut()


@_fault("connections of clients cut in an answer")
async def cut_clients_in_answers(site: Site) -> None:
    """The request arrives, and its answer does not."""
    site.api_proxy.cut_in_answers(site.chance.choice((0, 0, 5, 60)))
    await site.wait(0.1, 0.8)
    site.api_proxy.heal()


@_fault("clients slow")
async def delay_clients(site: Site) -> None:
    """Each block is held back."""
    site.api_proxy.delay(site.chance.uniform(0.02, 0.3))
    await site.wait(0.5, 2.0)
    site.api_proxy.heal()


@_fault("clients black-holed")
async def black_hole_clients(site: Site) -> None:
    """Nothing arrives and nothing is closed."""
    site.api_proxy.black_hole()
    await site.wait(0.5, 4.0)
    if site.chance.random() < 0.5:
        site.api_proxy.cut()
    site.api_proxy.heal()


# Clocks

_LIBFAKETIME: Final = (
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/faketime/libfaketime.so.1",
)


@_fault("clock jumped")
async def jump_clock(site: Site) -> None:
    """Add a worker whose clock is hours off and jumps while it works."""
    library = next((path for path in _LIBFAKETIME if Path(path).exists()), None)
    if library is None:
        raise NotPossibleHere("libfaketime is not installed (apt-get install libfaketime)")
    log = site.fleet.api.log.parent if site.fleet.api else Path("/tmp")
    clock = log / f"clock-{len(site.clock_files)}"
    site.clock_files.append(clock)
    clock.write_text(f"{site.chance.choice('+-')}3h\n")
    process = site.fleet.start_stranger(
        {
            "LD_PRELOAD": library,
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
    )
    await site.wait(4.0, 6.0)
    clock.write_text(f"{site.chance.choice('+-')}2d\n")
    await site.wait(1.0, 3.0)
    process.send_signal(site.chance.choice((signal.SIGTERM, signal.SIGKILL)))
    await asyncio.to_thread(process.wait)
    site.fleet.strangers.remove(process)
