"""Undo and webhooks after an import."""

import json
import time
from http.client import HTTPConnection
from statistics import median
from typing import Final

import psycopg

from bench.connection import Connection, UnexpectedResponseError
from bench.measures.run import Run
from bench.product import Product
from bench.samples import median_ratio, percentile, spread

LIFE_ROWS: Final = ("undo", "first-event-p99")
_PAIRS: Final = 3


def life(run: Run, product: Product) -> None:
    """Undo in turn with a DELETE of the same rows; the first event after an import was accepted."""
    _undo(run, product)
    _first_event(run, product)


def _undo(run: Run, product: Product) -> None:
    body = run.dataset.platforms_ndjson(run.scale.rows)
    ours: list[float] = []
    deleted: list[float] = []
    for number in range(_PAIRS):
        run.say(f"undo of {body.good:,} rows: pair {number + 1} of {_PAIRS}")
        run.database.empty_tables()
        finished = run.import_body(product, "platforms", body)
        run.database.settle()
        with Connection(product.server) as connection:
            undo = connection.prepare("POST", f"/api/imports/{finished.status['id']}/undo")
            started = time.perf_counter()
            answer = connection.exchange(undo).json(200)
            ours.append(time.perf_counter() - started)
        if answer["undone"]["removed"] != body.good or run.database.count("public.platforms"):
            raise UnexpectedResponseError(f"{answer['undone']} of {body.good} rows")
        run.database.empty_tables()
        run.import_body(product, "platforms", body)
        run.database.settle()
        with psycopg.connect(run.database.url) as connection_:
            (low, high) = connection_.execute("SELECT min(id), max(id) FROM platforms").fetchone() or (0, 0)
            started = time.perf_counter()
            connection_.execute("DELETE FROM platforms WHERE id BETWEEN %s AND %s", (low, high))
            connection_.commit()
            deleted.append(time.perf_counter() - started)
    run.database.empty_tables()
    run.results.details["undo"] = {"records": body.good, "product_seconds": ours, "delete_seconds": deleted}
    run.results.put(
        "undo",
        median_ratio(ours, deleted),
        f"{median(ours):.2f} s, {body.good / median(ours) / 1000:,.0f} k rows/s",
        f"{median(deleted):.2f} s, {body.good / median(deleted) / 1000:,.0f} k rows/s",
    )


def _first_event(run: Run, product: Product) -> None:
    server = product.server
    milliseconds: list[float] = []
    run.say(f"first events of {run.scale.small_jobs} imports")
    for body in run.dataset.envelopes(run.scale.small_jobs, 10):
        headers = {"x-api-key": server.api_key, "content-type": "application/json"}
        connection = HTTPConnection(server.host, server.port, timeout=60)
        connection.request("POST", "/api/platforms/bulk", body, headers)
        response = connection.getresponse()
        accepted = json.loads(response.read())
        if response.status != 202:
            raise UnexpectedResponseError(f"{response.status}: {accepted}")
        started = time.perf_counter()
        connection.request("GET", f"/api/imports/{accepted['id']}/events", headers=headers)
        events = connection.getresponse()
        while not events.readline().startswith(b"data:"):
            pass
        milliseconds.append((time.perf_counter() - started) * 1000)
        connection.close()
    run.database.empty_tables()
    run.results.details["first-event"] = spread(milliseconds)
    run.results.put("first-event-p99", percentile(milliseconds, 99), f"p50 {median(milliseconds):.1f} ms", "")
