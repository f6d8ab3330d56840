"""Latency of requests of 1,000 rows and of ten rows, accepted and completed."""

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle

from bench.connection import Connection, Server
from bench.dataset import PROJECT
from bench.measures.run import Run
from bench.peers.bare_route import KEY
from bench.product import Product
from bench.samples import percentile, spread

ROWS = 1000
CLIENTS = 8
BESIDE_INTERVAL_SECONDS = 0.02
"""Pause between two requests during a large import: an ordinary user, not a second flood."""
_BULK = "/api/platforms/bulk"
_DISTINCT_BODIES = 20
_QUEUEING_CLIENTS = 4


def posts(run: Run, product: Product) -> None:
    """One client: each request of 1,000 rows answered, and followed until it is completed; a bare route in turn."""
    run.say(f"{run.scale.posts} requests of {ROWS} rows, one client")
    answered, completed, bare = [], [], []
    with bare_route(run) as server, Connection(product.server) as connection, Connection(server) as peer:
        bodies = _bodies(run)
        requests = cycle([connection.prepare("POST", _BULK, body) for body in bodies])
        bare_requests = cycle([peer.prepare("POST", "/bulk", body) for body in bodies])
        for _ in bodies:
            peer.exchange(next(bare_requests)).json(202)
        run.database.settle()
        for _ in range(run.scale.posts):
            finished = run.import_small(connection, next(requests), ROWS)
            answered.append(finished.accepted_seconds * 1000)
            completed.append(finished.finished_seconds * 1000)
            response = peer.exchange(next(bare_requests))
            response.json(202)
            bare.append(response.seconds * 1000)
    run.results.details["posts"] = {
        "answered_ms": spread(answered),
        "completed_ms": spread(completed),
        "bare_route_ms": spread(bare),
    }
    _put(run, "post-alone-p50", answered, 50)
    _put(run, "post-alone-p99", answered, 99)
    _put(run, "completed-p50", completed, 50)
    _put(run, "completed-p99", completed, 99)
    route = percentile(bare, 50)
    for key, samples in (("post-bare", answered), ("completed-bare", completed)):
        value = percentile(samples, 50)
        run.results.put(key, value / route, f"{value:.1f} ms", f"{route:.1f} ms")


@contextmanager
def bare_route(run: Run) -> Iterator[Server]:
    """A FastAPI application that stores bodies, in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.peers.bare_route", run.database.url],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield Server("127.0.0.1", int(process.stdout.readline()), KEY)
    finally:
        process.terminate()
        process.wait()


def eight_clients(run: Run, product: Product) -> None:
    """Eight clients, each sending its next request when the last is answered, while the workers process them all."""
    run.say(f"{CLIENTS} clients, {run.scale.posts_by_each_of_eight} requests of {ROWS} rows each")
    run.database.settle()
    bodies = _bodies(run)
    started = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as clients:
        samples = list(
            clients.map(
                lambda _: _answer_times(product.server, bodies, run.scale.posts_by_each_of_eight), range(CLIENTS)
            )
        )
    answered = [sample for one in samples for sample in one]
    run.wait_for_idle_imports()
    seconds = time.perf_counter() - started
    rows = len(answered) * ROWS
    # As many rows in one body, into tables as empty.
    run.database.empty_tables()
    run.database.settle()
    one = run.dataset.platforms_ndjson(rows)
    large = one.records / run.import_body(product, "platforms", one).finished_seconds
    run.results.details["eight-clients"] = {
        "answered_ms": spread(answered),
        "rows_per_second": round(rows / seconds),
        "rows_per_second_of_one_import": round(large),
    }
    _put(run, "post-eight-p99", answered, 99)
    run.results.put("eight-rate", rows / seconds / large, f"{rows / seconds:,.0f} rows/s", f"{large:,.0f} rows/s")


def beside_large_import(run: Run, product: Product) -> None:
    """Requests of 1,000 rows while another user's large import is uploaded and processed."""
    body = run.dataset.platforms_ndjson(run.scale.large_rows)
    run.say(f"requests of {ROWS} rows beside an import of {body.records:,} rows")
    run.database.empty_tables()
    run.database.settle()
    answered: list[float] = []
    upload = run.upload(product, "platforms", body)
    try:
        with Connection(product.other_user) as connection:
            requests = cycle([connection.prepare("POST", _BULK, envelope) for envelope in _bodies(run)])
            while upload.is_running:
                response = connection.exchange(next(requests))
                response.json(202)
                answered.append(response.seconds * 1000)
                time.sleep(BESIDE_INTERVAL_SECONDS)
        finished = upload.finish()
    finally:
        upload.stop()
    finished.check(body.records, body.good)
    run.results.details["beside-large-import"] = {
        "rows": body.records,
        "answered_ms": spread(answered),
        "import_seconds": round(finished.finished_seconds, 2),
        "accepted_seconds": round(finished.accepted_seconds, 2),
    }
    _put(run, "post-beside-p99", answered, 99)
    run.wait_for_idle_imports()


def ten_rows(run: Run, product: Product) -> None:
    """Imports of ten rows, one after another, by the server's own times."""
    run.say(f"{run.scale.small_jobs} imports of ten rows")
    run.database.settle()
    waits, runs, completed = [], [], []
    with Connection(product.server) as connection:
        for body in run.dataset.envelopes(run.scale.small_jobs, 10):
            finished = run.import_small(connection, connection.prepare("POST", _BULK, body), 10)
            waits.append(finished.wait_milliseconds)
            runs.append(finished.run_milliseconds)
            completed.append(finished.finished_seconds * 1000)
    run.results.details["ten-rows"] = {
        "started_after_created_ms": spread(waits),
        "completed_after_started_ms": spread(runs),
        "completed_ms": spread(completed),
    }
    _put(run, "ten-rows-wait-p50", waits, 50)
    _put(run, "ten-rows-run-p50", runs, 50)


def fairness(run: Run, product: Product) -> None:
    """Another user's ten rows, again and again, while one user's import of millions runs."""
    body = run.dataset.platforms_ndjson(run.scale.busy_rows)
    run.say(f"another user's ten rows beside an import of {body.records:,} rows")
    run.database.empty_tables()
    run.database.settle()
    completed: list[float] = []
    upload = run.upload(product, "platforms", body)
    try:
        with Connection(product.other_user) as connection:
            requests = cycle(
                [
                    connection.prepare("POST", _BULK, envelope)
                    for envelope in run.dataset.envelopes(_DISTINCT_BODIES, 10)
                ]
            )
            while upload.is_running:
                completed.append(run.import_small(connection, next(requests), 10).finished_seconds * 1000)
        finished = upload.finish()
    finally:
        upload.stop()
    finished.check(body.records, body.good)
    run.results.details["fairness"] = {
        "rows": body.records,
        "completed_ms": spread(completed),
        "import_seconds": round(finished.finished_seconds, 2),
    }
    _put(run, "fairness-p99", completed, 99)


def fairness_beside_queued(run: Run, product: Product) -> None:
    """Another user's ten rows, again and again, while thousands of one user's small imports are worked off."""
    count = run.scale.queued_imports
    run.say(f"another user's ten rows beside {count:,} queued imports of three rows")
    run.database.empty_tables()
    run.database.settle()
    (three_rows,) = run.dataset.envelopes(1, 3)
    completed: list[float] = []
    with run.database.paused_queues(), ThreadPoolExecutor(_QUEUEING_CLIENTS) as clients:
        each = count // _QUEUEING_CLIENTS
        list(clients.map(lambda _: _answer_times(product.server, [three_rows], each), range(_QUEUEING_CLIENTS)))
    queued = run.database.waiting_jobs()
    with Connection(product.other_user) as connection:
        requests = cycle(
            [connection.prepare("POST", _BULK, envelope) for envelope in run.dataset.envelopes(_DISTINCT_BODIES, 10)]
        )
        started = time.perf_counter()
        while run.database.waiting_jobs() > queued // 20:
            completed.append(run.import_small(connection, next(requests), 10).finished_seconds * 1000)
        seconds = time.perf_counter() - started
    run.wait_for_idle_imports()
    run.results.details["fairness-queued"] = {
        "queued": queued,
        "completed_ms": spread(completed),
        "imports_per_second": round(queued / seconds),
    }
    _put(run, "fairness-queued-p99", completed, 99)


def _bodies(run: Run) -> list[bytes]:
    return run.dataset.envelopes(_DISTINCT_BODIES, ROWS)


def _answer_times(server: Server, bodies: list[bytes], count: int) -> list[float]:
    times = []
    with Connection(server) as connection:
        requests = cycle([connection.prepare("POST", _BULK, body) for body in bodies])
        for _ in range(count):
            response = connection.exchange(next(requests))
            response.json(202)
            times.append(response.seconds * 1000)
    return times


def _put(run: Run, key: str, samples: list[float], percent: float) -> None:
    found = spread(samples)
    run.results.put(
        key,
        percentile(samples, percent),
        f"p50 {found['p50']} ms, p99 {found['p99']} ms, max {found['max']} ms of {len(samples)}",
    )
