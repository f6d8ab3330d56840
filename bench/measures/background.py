"""Background jobs: the product in turn with PgQueuer, Procrastinate and Celery, each on fresh tables."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

from bench.job_history import add_history, remove_waiting_jobs
from bench.job_systems import JobSystemProcesses
from bench.measures.run import Run
from bench.redis import REDIS_HINT, redis
from bench.samples import median_ratio, percentile, spread

_ROUNDS: Final = 3
_PRODUCT: Final = "bulkport"
_HISTORY: Final = "bulkport with history"
_BASE: Final = "pgqueuer"
"""What ratios are to."""
_PEERS: Final = {"pgqueuer": "PgQueuer", "bare": "Procrastinate", "celery": "Celery"}
JOB_ROWS: Final = (
    "jobs-single",
    "jobs-transaction",
    "jobs-batch",
    "jobs-one",
    "jobs-two",
    "jobs-one-history",
    "jobs-two-history",
    "jobs-history-change",
    "jobs-pickup-p50",
    "jobs-pickup-p99",
    "jobs-statistics",
)
"""The rows of the table that it fills."""
_ENQUEUEING: Final = ("single", "transaction", "batch")
_WAYS: Final = (*_ENQUEUEING, "one", "two")
"""Ways to enqueue, and numbers of worker processes."""


@dataclass(slots=True)
class _Found:
    """A value of each round, by way and system."""

    rates: dict[str, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    """Jobs a second."""
    pickups: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Milliseconds, by system."""

    def add(self, way: str, system: str, rate: float) -> None:
        self.rates[way][system].append(rate)


def background(run: Run) -> None:
    """Jobs enqueued and run per second, queue latency of an idle worker, and the cost of statistics."""
    found = _Found()
    scale = run.scale
    with _systems(run) as systems:
        history = systems[_HISTORY]
        run.say(f"{scale.finished_jobs:,} finished jobs are made up")
        history.install()
        add_history(history.url, scale.finished_jobs)
        rounds = min(_ROUNDS, scale.pairs)
        for number in range(rounds):
            run.say(f"background jobs: round {number + 1} of {rounds}")
            for name, system in systems.items():
                if name != _HISTORY:
                    system.install()
            # Alternating order: the compared systems run in turn, and neither is always first.
            _measure(run, dict(reversed(systems.items()) if number % 2 else systems.items()), found)
            remove_waiting_jobs(history.url)
        run.database.settle()
        statistics = history.statistics_milliseconds(scale.statistics_reads)
    _put(run, found, statistics)


def _measure(run: Run, systems: Mapping[str, JobSystemProcesses], found: _Found) -> None:
    """One way after the other, in all systems in turn: a machine with neighbours is not as fast a minute later."""
    scale = run.scale
    for way, processes in (("one", 1), ("two", 2)):
        for name, system in systems.items():
            run.database.settle()
            found.add(way, name, system.run_rate(scale.background_jobs, processes))
    for name, system in systems.items():
        run.database.settle()
        found.pickups[name] += system.pickup_milliseconds(scale.pickups)
    for way in _ENQUEUEING:
        for name, system in systems.items():
            run.database.settle()
            found.add(way, name, system.enqueue_rate(way, scale.enqueued_jobs))


@contextmanager
def _systems(run: Run) -> Iterator[dict[str, JobSystemProcesses]]:
    """The product, with and without a history, and its peers; without Redis, no Celery."""
    folder = run.folder / "jobs"
    folder.mkdir()
    with redis(folder / "redis") as redis_url:
        # The operands of a ratio are shown side by side.
        systems = {_HISTORY: _PRODUCT, _PRODUCT: _PRODUCT, "pgqueuer": "pgqueuer", "bare": "bare", "celery": "celery"}
        if redis_url is None:
            del systems["celery"]
            run.say(f"background jobs without Celery: {REDIS_HINT}")
        environment = {"BENCH_REDIS_URL": redis_url or ""}
        yield {
            name: JobSystemProcesses(
                system, f"bench_jobs_{name.replace(' ', '_')}", run.database.url, folder, environment
            )
            for name, system in systems.items()
        }


def _put(run: Run, found: _Found, statistics: list[float]) -> None:
    details: dict[str, Any] = {}
    for way in _WAYS:
        rates = found.rates[way]
        details[f"{way}_per_second"] = {name: [round(rate) for rate in of_system] for name, of_system in rates.items()}
        peers = "; ".join(f"{title} {_rate(rates[name])}" for name, title in _PEERS.items() if name in rates)
        for key, name in ((f"jobs-{way}", _PRODUCT), (f"jobs-{way}-history", _HISTORY)):
            if key in JOB_ROWS:
                ratio = median_ratio(rates[name], rates[_BASE])
                run.results.put(key, ratio, f"{_rate(rates[name])} jobs/s", peers)
    both = [found.rates[way] for way in ("one", "two")]
    run.results.put(
        "jobs-history-change",
        median_ratio(
            [rate for rates in both for rate in rates[_HISTORY]], [rate for rates in both for rate in rates[_PRODUCT]]
        ),
        "; ".join(f"{_rate(rates[_HISTORY])} of {_rate(rates[_PRODUCT])} jobs/s" for rates in both),
    )
    details["pickup_ms"] = {name: spread(times) for name, times in found.pickups.items()}
    details["statistics_ms"] = spread(statistics)
    run.results.details["background"] = details
    for percent in (50, 99):
        peers = "; ".join(
            f"{title} {percentile(found.pickups[name], percent):.1f} ms"
            for name, title in _PEERS.items()
            if name in found.pickups
        )
        value = percentile(found.pickups[_PRODUCT], percent)
        run.results.put(
            f"jobs-pickup-p{percent}",
            value / percentile(found.pickups[_BASE], percent),
            f"{value:.1f} ms of {len(found.pickups[_PRODUCT])} jobs",
            peers,
        )
    run.results.put(
        "jobs-statistics", median(statistics), f"p99 {percentile(statistics, 99):.1f} ms of {len(statistics)} reads"
    )


def _rate(rates: list[float]) -> str:
    return f"{median(rates):,.0f}"
