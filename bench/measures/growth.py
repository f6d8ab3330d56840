"""What one step costs while work grows: 1,000 to a million waiting jobs, finished jobs and imports."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any, Final, LiteralString

import psycopg
from psycopg.types.json import Jsonb

from bench.dataset import PROJECT
from bench.job_history import add_history
from bench.job_systems import JobSystemProcesses
from bench.measures.run import Run
from bulkport.jobs.postgres import queries

GROWTH_ROWS: Final = ("growth-waiting", "growth-finished", "growth-imports")
PLOT: Final = PROJECT / "docs" / "images" / "growth.svg"
_TOGETHER: Final = 20
_SAMPLES: Final = 60

_WAITING: Final[LiteralString] = """
INSERT INTO bulkport.jobs (task, queue, priority, state, fair_at, args, user_id, created_at, ready_at)
SELECT 'nothing', 'default', 0, 'enqueued', number / 1000, '{}', 'user-' || number %% 1000, now(), now()
FROM generate_series(1, %(count)s) AS number
"""
_IMPORTS: Final[LiteralString] = """
WITH made AS (
    INSERT INTO bulkport.bulk_import_jobs (
        resource, user_id, background_job_id, format, handling, status, total_records, total_chunks, body_bytes,
        completed_at, processed_count, success_count, failure_count, attempts)
    SELECT 'platforms', 'user-' || number %% 1000, number::text, 'ndjson', 'lenient', 'Completed', 10, 1, 500,
           clock_timestamp(), 10, 10, 0, 1
    FROM generate_series(1, %(count)s) AS number
    RETURNING id
)
SELECT count(*) FROM made
"""
_SERVER: Final[LiteralString] = """
INSERT INTO bulkport.servers (name, host, process_id, version, tasks, concurrency)
VALUES ('bench', 'here', 1, '0', '{nothing}', 20) RETURNING worker_id
"""
_LIST_IMPORTS: Final[LiteralString] = """
SELECT id, status FROM bulkport.bulk_import_jobs WHERE user_id = 'user-7' ORDER BY id DESC LIMIT 50
"""
_ADD_IMPORT: Final[LiteralString] = """
INSERT INTO bulkport.bulk_import_jobs (
    resource, user_id, background_job_id, format, handling, total_records, total_chunks, body_bytes)
VALUES ('platforms', 'user-7', '1', 'ndjson', 'lenient', 10, 1, 500)
"""
_LIST_FAILED: Final[LiteralString] = """
SELECT job_id, task, error FROM bulkport.finished_jobs
WHERE state = 'failed' ORDER BY created_at DESC, job_id DESC LIMIT 50
"""


def growth(run: Run) -> None:
    """Milliseconds of each step at each size; a row's value is how much dearer the dearest step got."""
    sizes = run.scale.growth
    for key, (add, measure) in zip(GROWTH_ROWS, _KINDS, strict=True):
        name = key.removeprefix("growth-")
        found: dict[str, dict[int, float]] = {}
        for size in sizes:
            run.say(f"steps beside {size:,} {name}")
            system = JobSystemProcesses("bulkport", "bench_growth", run.database.url, run.folder, {})
            system.install()
            with psycopg.connect(system.url, autocommit=True, prepare_threshold=None) as connection:
                add(connection, system.url, size)
                # Otherwise the first steps wait for the disk to write the added data.
                run.database.settle()
                for step, milliseconds in measure(connection).items():
                    found.setdefault(step, {})[size] = milliseconds
        run.results.details[f"growth, {name}, ms"] = {
            step: {f"{size:,}": round(value, 2) for size, value in by_size.items()} for step, by_size in found.items()
        }
        worst = max(found, key=lambda step: _growth(found[step]))
        run.results.put(
            key, _growth(found[worst]), f"{worst}: {found[worst][sizes[0]]:.2f} → {found[worst][sizes[-1]]:.2f} ms"
        )
    plot(run.results.details)


def _growth(by_size: Mapping[int, float]) -> float:
    return by_size[max(by_size)] / by_size[min(by_size)]


def _add_waiting(connection: psycopg.Connection[Any], _url: str, size: int) -> None:
    connection.execute(_WAITING, {"count": size})


def _add_finished(_connection: psycopg.Connection[Any], url: str, size: int) -> None:
    add_history(url, size)


def _add_imports(connection: psycopg.Connection[Any], _url: str, size: int) -> None:
    connection.execute(_IMPORTS, {"count": size})
    connection.execute("ANALYZE bulkport.bulk_import_jobs")


def _finished_steps(connection: psycopg.Connection[Any]) -> dict[str, float]:
    steps = _job_steps(connection)
    steps["list 50 failed jobs"] = _timed(lambda: connection.execute(_LIST_FAILED).fetchall())
    return steps


def _import_steps(connection: psycopg.Connection[Any]) -> dict[str, float]:
    return {
        "store an import": _timed(lambda: connection.execute(_ADD_IMPORT)),
        "list 50 imports of a user": _timed(lambda: connection.execute(_LIST_IMPORTS).fetchall()),
    }


def _job_steps(connection: psycopg.Connection[Any]) -> dict[str, float]:
    row = connection.execute(_SERVER).fetchone()
    assert row is not None
    worker_id = row[0]
    claimed: list[list[tuple[Any, ...]]] = []

    def enqueue() -> None:
        connection.execute(queries.ENQUEUE_ONE, ("nothing", "default", 0, "{}", "user-7", None, None))

    def enqueue_some() -> None:
        for _ in range(_TOGETHER):
            enqueue()

    def claim() -> None:
        cursor = connection.execute(
            queries.CLAIM,
            {
                "worker_id": worker_id,
                "tasks": ["nothing"],
                "heavy_tasks": [],
                "queues": None,
                "free": _TOGETHER,
                "reach": 4 * _TOGETHER,
            },
        )
        claimed.append([row for row in cursor.fetchall() if row[0] is not None])

    def finish() -> None:
        outcomes = [
            {"job_id": row[0], "runs": row[5], "outcome": "succeeded", "seconds": 0.01} for row in claimed.pop()
        ]
        connection.execute(queries.FINISH, {"worker_id": worker_id, "server": "bench", "outcomes": Jsonb(outcomes)})

    steps: dict[str, list[float]] = {"enqueue one": [], f"claim {_TOGETHER}": [], f"end {_TOGETHER}": []}
    for _ in range(_SAMPLES):
        enqueue_some()
        for times, act in zip(steps.values(), (enqueue, claim, finish), strict=True):
            started = time.perf_counter()
            act()
            times.append((time.perf_counter() - started) * 1000)
    return {step: median(times) for step, times in steps.items()}


def _timed(act: Callable[[], Any]) -> float:
    times = []
    for _ in range(_SAMPLES):
        started = time.perf_counter()
        act()
        times.append((time.perf_counter() - started) * 1000)
    return median(times)


_KINDS: Final = ((_add_waiting, _job_steps), (_add_finished, _finished_steps), (_add_imports, _import_steps))
"""A setup that creates many objects of a kind, and the steps timed with them."""


def plot(details: Mapping[str, Any]) -> Path:
    """Plot the results on logarithmic axes to `PLOT`."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    mpl.rcParams["svg.hashsalt"] = "growth"
    figure, axes = pyplot.subplots(1, 3, figsize=(12, 4), sharey=True)
    for axis, key in zip(axes, GROWTH_ROWS, strict=True):
        name = key.removeprefix("growth-")
        for step, by_size in details[f"growth, {name}, ms"].items():
            sizes = [int(size.replace(",", "")) for size in by_size]
            axis.loglog(sizes, list(by_size.values()), marker="o", label=step)
        axis.set_xlabel(name if name == "imports" else f"{name} jobs")
        axis.grid(visible=True, which="major", alpha=0.3)
        axis.legend(fontsize="small")
    axes[0].set_ylabel("milliseconds, median")
    figure.tight_layout()
    PLOT.parent.mkdir(exist_ok=True)
    figure.savefig(PLOT, metadata={"Date": None})
    pyplot.close(figure)
    return PLOT
