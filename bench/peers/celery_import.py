"""Celery on Redis: a CSV file as tasks of 1,000 rows.

Run as `python -m bench.peers.celery_import URL FILE orm|core` beside a worker of `bench.peers.celery_tasks`, which
has the database's URL already; prints the seconds from opening the file to the last task's result. Redis keeps
nothing on disk, which favours the peer.
"""

import csv
import sys
import time
from itertools import islice
from pathlib import Path

from celery import group  # type: ignore[import-untyped]  # ships no types

from bench.peers.celery_tasks import store, warm_up

ROWS_IN_A_TASK = 1000
PATIENCE_SECONDS = 120


def main() -> None:
    """Time one import."""
    how = sys.argv[3]
    group(warm_up.s() for _ in range(8)).apply_async().get(timeout=PATIENCE_SECONDS)
    started = time.perf_counter()
    with Path(sys.argv[2]).open(encoding="utf-8", newline="") as file:
        reader = ({"platform_name": row["platformName"]} for row in csv.DictReader(file))
        results = []
        while rows := list(islice(reader, ROWS_IN_A_TASK)):
            results.append(store.delay(rows, how))
    for result in results:
        result.get(timeout=PATIENCE_SECONDS)
    print(time.perf_counter() - started)


if __name__ == "__main__":
    main()
