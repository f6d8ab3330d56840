"""Ten typed columns as CSV, in turn with `psql \\copy` of the same file."""

import csv
import os
import random
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit, urlunsplit

import psycopg

from bench.connection import Connection, Server, UnexpectedResponseError
from bench.dataset import CSV, PROJECT, Body
from bench.imports import import_file
from bench.measures.run import Run
from bench.peers.psql_copy import copy_seconds
from bench.samples import median_ratio
from bench.typed_site import COLUMNS

_WORKERS = 2
_ROWS_PER_MAIN_ROW = 0.2
_PATIENCE_SECONDS = 300.0


def typed_columns(run: Run) -> None:
    """Serve an application of its own and let it and `\\copy` take turns."""
    records = int(run.scale.rows * _ROWS_PER_MAIN_ROW)
    path = run.folder / f"readings-{records}.csv"
    _write(path, records)
    body = Body(path, CSV, records, records, path, ", ".join(COLUMNS), "(format csv, header)")
    product: list[float] = []
    copied: list[float] = []
    with site(run.database.url) as (url, server):
        for number in range(run.scale.pairs + 1):
            run.say(f"{path.name}: {f'pair {number} of {run.scale.pairs}' if number else 'warming up'}")
            _empty(url)
            with Connection(server) as connection:
                finished = import_file(
                    connection, "readings", path, CSV, poll_seconds=0.05, patience_seconds=_PATIENCE_SECONDS
                )
            finished.check(records, records)
            _empty(url)
            seconds = copy_seconds(url, "copied_readings", body)
            if number:
                product.append(finished.finished_seconds)
                copied.append(seconds)
    run.results.details["typed-csv"] = {"records": records, "product_seconds": product, "copy_seconds": copied}
    run.results.put(
        "typed-csv",
        median_ratio(product, copied),
        f"{median(product):.2f} s, {records / median(product) / 1000:,.0f} k rows/s",
        f"{median(copied):.2f} s, {records / median(copied) / 1000:,.0f} k rows/s",
    )


def _write(path: Path, records: int) -> None:
    """The file, the same in every run."""
    chosen = random.Random(7)
    start = datetime(2024, 1, 1, tzinfo=UTC)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for number in range(records):
            moment = start + timedelta(microseconds=chosen.randrange(10**13))
            writer.writerow(
                [
                    number,
                    f"{chosen.randrange(10**8) / 100:.2f}",
                    (date(2000, 1, 1) + timedelta(days=chosen.randrange(9000))).isoformat(),
                    moment.isoformat(),
                    uuid.UUID(int=chosen.getrandbits(128)),
                    chosen.choice(("happy", "sad", "calm")),
                    chosen.choice(("true", "false")),
                    f"Reading {number}, from sensor {chosen.randrange(1000)}",
                    '{red,"light green",blue}',
                    f'{{"unit": "mm", "values": [1.5, {chosen.randrange(100)}], "checked": null}}',
                ]
            )


@contextmanager
def site(base_url: str) -> Iterator[tuple[str, Server]]:
    """The application on a database of its own, with two workers."""
    name = f"typed_{uuid.uuid4().hex}"
    with psycopg.connect(base_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    url = urlunsplit(urlsplit(base_url)._replace(path=f"/{name}"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    subprocess.run(_command("create-tables"), cwd=PROJECT, env=_environment(url), check=True)
    processes = [
        subprocess.Popen(_command(*arguments), cwd=PROJECT, env=_environment(url))
        for arguments in (("serve", str(port)), *[("worker",)] * _WORKERS)
    ]
    try:
        _wait_until_it_listens(port)
        yield url, Server("127.0.0.1", port, "any")
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(timeout=60)
        with psycopg.connect(base_url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "bench.typed_site", *arguments]


def _environment(url: str) -> dict[str, str]:
    return os.environ | {"BENCH_TYPED_URL": url}


def _wait_until_it_listens(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise UnexpectedResponseError("the application does not listen") from None
            time.sleep(0.05)
        else:
            return


def _empty(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("TRUNCATE readings, copied_readings")
        connection.execute("CHECKPOINT")
