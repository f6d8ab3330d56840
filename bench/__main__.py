"""`python -m bench`: run the measures and report."""

import dataclasses
import json
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from bench.database import Database, postgres
from bench.dataset import Dataset
from bench.document import DOCUMENT, write_document
from bench.machine import addition_milliseconds, describe_machine
from bench.measures import (
    against_copy,
    against_frameworks,
    background,
    dashboard,
    exports,
    growth,
    latency,
    life,
    load_generator,
    memory,
    typed_columns,
    upsert,
)
from bench.measures.run import Measure, Run
from bench.product import ProductInstallation
from bench.report import LATEST, print_table, with_earlier, write_json
from bench.results import Results
from bench.scale import FULL, QUICK, Scale

MEASURES = (
    Measure("load-generator", (), alone=load_generator.load_generator),
    Measure("memory", ("memory-growth", "memory-api", "memory-worker"), alone=memory.memory),
    Measure("background", background.JOB_ROWS, alone=background.background),
    Measure("growth", growth.GROWTH_ROWS, alone=growth.growth),
    Measure("dashboard", dashboard.DASHBOARD_ROWS, alone=dashboard.dashboard),
    Measure("platforms", ("platforms-ndjson", "accepted"), against_copy.platforms),
    Measure("csv", ("platforms-csv",), against_copy.platforms_csv),
    Measure("typed-columns", ("typed-csv",), alone=typed_columns.typed_columns),
    Measure("upsert", ("upsert",), alone=upsert.upsert),
    Measure("commands", ("commands-by-id", "commands-by-name"), against_copy.commands),
    Measure("life", life.LIFE_ROWS, life.life),
    Measure("exports", exports.EXPORT_ROWS, exports.exports),
    Measure("frameworks", ("orm-loop", "django", "celery"), against_frameworks.frameworks),
    Measure(
        "posts",
        ("post-alone-p50", "post-alone-p99", "completed-p50", "completed-p99", "post-bare", "completed-bare"),
        latency.posts,
    ),
    Measure("ten-rows", ("ten-rows-wait-p50", "ten-rows-run-p50"), latency.ten_rows),
    Measure("eight-clients", ("post-eight-p99", "eight-rate"), latency.eight_clients),
    Measure("fairness", ("fairness-p99",), latency.fairness),
    Measure("fairness-queued", ("fairness-queued-p99",), latency.fairness_beside_queued),
    Measure("beside", ("post-beside-p99",), latency.beside_large_import),
)
WIDTH_IN_A_FILE = 200
NAMES = [measure.name for measure in MEASURES]


def main(
    quick: Annotated[bool, typer.Option("--quick", help="A smoke run with few rows, under two minutes.")] = False,
    only: Annotated[
        list[str] | None, typer.Option(help=f"Run this measure only; may be repeated: {', '.join(NAMES)}.")
    ] = None,
    rows: Annotated[int | None, typer.Option(min=10_000, help="Rows of the main imports.")] = None,
    render: Annotated[bool, typer.Option("--render", help="Only render docs/benchmarks.md from the last run.")] = False,
) -> None:
    """Measure the Command API against its peers. A full run takes up to 45 minutes and renders docs/benchmarks.md."""
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH_IN_A_FILE
    if render:
        write_document(json.loads(LATEST.read_text(encoding="utf-8")))
        console.print(f"rendered {DOCUMENT}")
        return
    chosen = only or NAMES
    if unknown := sorted(set(chosen) - set(NAMES)):
        raise typer.BadParameter(f"no measure {', '.join(unknown)}; there are {', '.join(NAMES)}")
    scale = QUICK if quick else FULL
    if rows is not None:
        scale = scale.with_rows(rows)
    signal.signal(signal.SIGTERM, _interrupt)
    with _prepared(console, scale) as run:
        started = time.monotonic()
        _run_measures(run, chosen, started)
        run.results.seconds = time.monotonic() - started
    document = run.results.as_json()
    print_table(console, document)
    if chosen != NAMES:
        document = with_earlier(document)
    console.print(f"wrote {write_json(document)}")
    if scale == FULL:
        write_document(document)
        console.print(f"rendered {DOCUMENT}")
    if run.results.skipped:
        console.print(f"skipped: {run.results.skipped}")


@contextmanager
def _prepared(console: Console, scale: Scale) -> Iterator[Run]:
    """Start PostgreSQL with migrated tables, in a temporary folder that is removed afterwards."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="commandapi-bench-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)
        dataset = Dataset(folder)
        url = stack.enter_context(postgres(folder))
        installation = ProductInstallation(url, folder / "product.log")
        installation.migrate()
        database = Database(url)
        stack.callback(database.close)
        database.create_peer_tables()
        results = Results(describe_machine(database.settings()), dataclasses.asdict(scale))
        results.details["catalogue"] = "tldr-pages" if "shared" in dataset.catalogue.parts else "the shipped examples"
        yield Run(console, folder, scale, dataset, database, installation, results)


def _run_measures(run: Run, chosen: list[str], started: float) -> None:
    """Run the chosen measures; skip those that have not begun when the time is over."""

    speed: dict[str, float] = {}
    run.results.details["a million additions in Python before each measure, ms"] = speed

    def is_due(measure: Measure) -> bool:
        if measure.name not in chosen:
            return False
        if time.monotonic() - started < run.scale.seconds:
            speed[measure.name] = round(addition_milliseconds(), 1)
            return True
        run.results.skipped.update(dict.fromkeys(measure.rows, "out of time"))
        return False

    for measure in MEASURES:
        if measure.alone is not None and is_due(measure):
            measure.alone(run)
    if any(measure.on_product is not None and measure.name in chosen for measure in MEASURES):
        with run.product() as product:
            run.warm_up(product)
            for measure in MEASURES:
                if measure.on_product is not None and is_due(measure):
                    measure.on_product(run, product)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    typer.run(main)
