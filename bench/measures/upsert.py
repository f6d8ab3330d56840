"""Rows that are all stored before, upserted as CSV, in turn with `\\copy` into a staging table and one INSERT."""

import subprocess
import time
from pathlib import Path
from statistics import median
from typing import Final

import psycopg

from bench.connection import Connection, UnexpectedResponseError
from bench.dataset import CSV
from bench.imports import import_file
from bench.measures.run import Run
from bench.measures.typed_columns import site
from bench.peers.psql_copy import psql
from bench.samples import median_ratio
from bench.typed_site import ITEM_COLUMNS

_PAIRS: Final = 3
_PATIENCE_SECONDS: Final = 600.0
_MERGE: Final = """
    INSERT INTO copied_items SELECT sku, name, quantity FROM staging
    ON CONFLICT (sku) DO UPDATE SET name = EXCLUDED.name, quantity = EXCLUDED.quantity
"""


def upsert(run: Run) -> None:
    """Every row changes its quantity; both tables hold the same rows before each run."""
    rows = run.scale.rows
    path = run.folder / f"items-{rows}.csv"
    _write(path, rows)
    product: list[float] = []
    merged: list[float] = []
    with site(run.database.url) as (url, server):
        for number in range(_PAIRS + 1):
            run.say(f"{path.name}: {f'pair {number} of {_PAIRS}' if number else 'warming up'}")
            _fill(url, rows)
            with Connection(server) as connection:
                finished = import_file(
                    connection, "items", path, CSV, poll_seconds=0.05, patience_seconds=_PATIENCE_SECONDS
                )
            finished.check(rows, rows)
            _fill(url, rows, keeps="items")
            seconds = _merge(url, path)
            _check(url)
            if number:
                product.append(finished.finished_seconds)
                merged.append(seconds)
    run.results.details["upsert"] = {"records": rows, "product_seconds": product, "merge_seconds": merged}
    run.results.put(
        "upsert",
        median_ratio(product, merged),
        f"{median(product):.2f} s, {rows / median(product) / 1000:,.0f} k rows/s",
        f"{median(merged):.2f} s, {rows / median(merged) / 1000:,.0f} k rows/s",
    )


def _write(path: Path, rows: int) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(",".join(ITEM_COLUMNS) + "\n")
        file.writelines(f"SKU-{number:09},Item number {number},{number % 1000 + 1}\n" for number in range(rows))


def _fill(url: str, rows: int, *, keeps: str | None = None) -> None:
    """Store the rows with another quantity in each table but the one that is kept."""
    with psycopg.connect(url, autocommit=True) as connection:
        for table in ("items", "copied_items"):
            if table != keeps:
                connection.execute(f"TRUNCATE {table}")
                connection.execute(
                    f"INSERT INTO {table} SELECT 'SKU-' || lpad(n::text, 9, '0'), 'Item number ' || n, 0 "
                    "FROM generate_series(0, %s) n",
                    (rows - 1,),
                )
                connection.execute(f"VACUUM ANALYZE {table}")
        connection.execute("CHECKPOINT")


def _merge(url: str, path: Path) -> float:
    commands = (
        "CREATE TEMPORARY TABLE staging (LIKE copied_items)",
        f"\\copy staging FROM '{path}' (format csv, header)",
        _MERGE,
    )
    arguments = [part for command in commands for part in ("--command", command)]
    started = time.perf_counter()
    subprocess.run(
        [str(psql()), "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", *arguments, url],
        check=True,
    )
    return time.perf_counter() - started


def _check(url: str) -> None:
    """Refuse times of which one stored other rows."""
    with psycopg.connect(url) as connection:
        statement = "SELECT count(*) FROM (SELECT * FROM items EXCEPT ALL SELECT * FROM copied_items) AS different"
        (different,) = connection.execute(statement).fetchone() or (0,)
    if different:
        raise UnexpectedResponseError(f"{different} rows differ from those of INSERT … ON CONFLICT")
