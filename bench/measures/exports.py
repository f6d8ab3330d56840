"""Exports in turn with `psql \\copy (SELECT …) TO` of the same rows, each to a file."""

import subprocess
import time
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import Final

import psycopg

from bench.connection import UnexpectedResponseError
from bench.measures.run import Run
from bench.peers.psql_copy import psql
from bench.product import Product
from bench.samples import median_ratio

EXPORT_ROWS: Final = ("export-csv", "export-ndjson", "export-parquet", "export-xlsx")
_BLOCK_BYTES: Final = 1 << 20
_QUERIES: Final = {
    "csv": ("SELECT platform_name FROM platforms ORDER BY id", "format csv"),
    "ndjson": (
        'SELECT row_to_json(r) FROM (SELECT platform_name AS "platformName" FROM platforms ORDER BY id) r',
        r"format csv, quote e'\x01', delimiter e'\x02'",
    ),
}
# What these are compared with is the same rows as CSV.
_QUERIES["parquet"] = _QUERIES["xlsx"] = _QUERIES["csv"]


def exports(run: Run, product: Product) -> None:
    """Each format with the same client, which writes the response to a file."""
    rows = run.scale.rows
    run.database.empty_tables()
    with psycopg.connect(run.database.url, autocommit=True) as connection:
        fill = "INSERT INTO platforms (platform_name) SELECT 'Platform number ' || n FROM generate_series(1, %s) n"
        connection.execute(fill, (rows,))
        connection.execute("VACUUM ANALYZE platforms")
    run.database.settle()
    for file_format, (query, options) in _QUERIES.items():
        ours: list[float] = []
        copied: list[float] = []
        # A workbook holds at most a sheet of rows, and is slow to write.
        pairs = 1 if file_format == "xlsx" else run.scale.pairs
        if file_format == "xlsx" and rows >= 1_048_576:
            continue
        for number in range(pairs + (file_format != "xlsx")):
            run.say(f"export as {file_format}: {f'pair {number} of {pairs}' if number else 'warming up'}")
            seconds = _export(product, file_format, run.folder / f"export.{file_format}")
            copy = _copy(run.database.url, query, options, run.folder / "copied")
            if number or file_format == "xlsx":
                ours.append(seconds)
                copied.append(copy)
        if file_format in ("csv", "ndjson"):
            _compare(run.folder / f"export.{file_format}", run.folder / "copied", has_header=file_format == "csv")
        key = f"export-{file_format}"
        run.results.details[key] = {"records": rows, "product_seconds": ours, "copy_seconds": copied}
        run.results.put(
            key,
            median_ratio(ours, copied),
            f"{median(ours):.2f} s, {rows / median(ours) / 1000:,.0f} k rows/s",
            f"{median(copied):.2f} s, {rows / median(copied) / 1000:,.0f} k rows/s",
        )
    run.database.empty_tables()


def _export(product: Product, file_format: str, path: Path) -> float:
    server = product.server
    started = time.perf_counter()
    connection = HTTPConnection(server.host, server.port, timeout=600)
    connection.request("GET", f"/api/platforms/export?format={file_format}", headers={"x-api-key": server.api_key})
    response = connection.getresponse()
    if response.status != 200:
        raise UnexpectedResponseError(f"{response.status}: {response.read(500)!r}")
    with path.open("wb") as file:
        while block := response.read1(_BLOCK_BYTES):
            file.write(block)
    connection.close()
    return time.perf_counter() - started


def _copy(url: str, query: str, options: str, path: Path) -> float:
    command = f"\\copy ({query}) TO '{path}' ({options})"
    started = time.perf_counter()
    arguments = ("--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--command", command, url)
    subprocess.run([str(psql()), *arguments], check=True)
    return time.perf_counter() - started


def _compare(exported: Path, copied: Path, *, has_header: bool) -> None:
    """Reject a measurement whose file differs."""
    content = exported.read_bytes()
    if has_header:
        content = content.partition(b"\n")[2]
    if content != copied.read_bytes():
        raise UnexpectedResponseError(f"{exported.name} has other rows than \\copy")
