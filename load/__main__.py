"""`python -m load`: runs many concurrent clients and reports their responses."""

import asyncio
import shutil
import tempfile
import time
from pathlib import Path
from typing import Annotated, Final

import psycopg
import typer
from bench.database import postgres
from bench.product import Product, ProductInstallation

from bulkport.runtime import event_loop_factory
from commandapi.auth.keys import create_key
from load.clients import Load, clients_of
from load.figures import lines_of, sample

_USERS: Final = 20
_SETTLE_SECONDS: Final = 300.0
_MOST_CONNECTIONS: Final = 150
"""Of the server and two workers with their defaults: pools of requests, keys, uploads and jobs."""


def main(
    seconds: Annotated[float, typer.Option(min=1, help="How long the clients send.")] = 600,
    clients: Annotated[int, typer.Option(min=5, help="Clients at one time.")] = 200,
    seed: Annotated[int, typer.Option(help="Of what they send.")] = 1,
) -> None:
    """Have many clients send at once. Ends with 1 when an answer was an error or a promise was broken."""
    folder = Path(tempfile.mkdtemp(prefix="commandapi-load-"))
    folder.chmod(0o755)
    try:
        with postgres(folder) as url:
            installation = ProductInstallation(url, folder / "product.log")
            installation.migrate()
            keys = asyncio.run(_keys(url))
            with installation.serve() as product, asyncio.Runner(loop_factory=event_loop_factory()) as runner:
                load = runner.run(_run(product, url, keys, seconds, clients, seed))
        print("\n".join(lines_of(load.figures, seconds, clients)), flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    raise SystemExit(1 if load.figures.errors or load.figures.broken else 0)


async def _keys(url: str) -> list[str]:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        return [await create_key(connection, f"load {number}") for number in range(_USERS)]


async def _run(  # noqa: PLR0917
    product: Product, url: str, keys: list[str], seconds: float, clients: int, seed: int
) -> Load:
    load = Load(f"http://{product.server.host}:{product.server.port}", keys, seed)
    done = asyncio.Event()
    sampling = asyncio.create_task(sample(load.figures, product.processes, url, max(0.5, seconds / 200), done))
    work = [asyncio.create_task(client) for client in clients_of(load, clients)]
    await asyncio.sleep(seconds)
    load.stop.set()
    await asyncio.wait(work, timeout=120)
    for task in work:
        if not task.done():
            load.figures.broken.append("a client never got its answer")
        elif (error := task.exception()) is not None:
            raise error
    await _check(load, url)
    done.set()
    await sampling
    if max(load.figures.connections) > _MOST_CONNECTIONS:
        load.figures.broken.append(f"more than {_MOST_CONNECTIONS} connections to PostgreSQL")
    return load


async def _check(load: Load, url: str) -> None:
    """What was admitted is served: each accepted import ends, with all its rows stored."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    unfinished = b"SELECT count(*) FROM bulkport.bulk_import_jobs WHERE completed_at IS NULL"
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        while (await (await connection.execute(unfinished)).fetchone()) != (0,):
            if time.monotonic() > deadline:
                load.figures.broken.append("imports are unfinished five minutes later")
                return
            await asyncio.sleep(0.2)
        cursor = await connection.execute("SELECT id, status, success_count FROM bulkport.bulk_import_jobs")
        stored = {number: (status, count) for number, status, count in await cursor.fetchall()}
        for number, rows in load.figures.accepted.items():
            if stored.get(number) != ("Completed", rows):
                load.figures.broken.append(f"import {number} of {rows} rows is {stored.get(number)}")
        cursor = await connection.execute("SELECT count(*) FROM platforms")
        rows_stored = (await cursor.fetchone() or (0,))[0]
        wanted = sum(count for _, count in stored.values())
        if rows_stored != wanted:
            load.figures.broken.append(f"{rows_stored} rows are stored, {wanted} were reported")


if __name__ == "__main__":
    typer.run(main)
