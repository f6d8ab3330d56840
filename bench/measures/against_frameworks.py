"""The product in turn with an ORM loop, django-import-export and Celery, whose slower rates need fewer rows."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

from bench.dataset import PROJECT
from bench.measures.run import Run
from bench.product import Product
from bench.redis import REDIS_HINT, end, redis
from bench.samples import median_ratio

ROUNDS = 3
_PEER_PATIENCE_SECONDS = 180


@dataclass(frozen=True, slots=True)
class _Peer:
    """One peer's process: it prints the seconds it took for `rows` rows."""

    key: str
    module: str
    rows: int
    environment: Mapping[str, str]
    options: tuple[str, ...] = ()

    def rate(self, run: Run) -> float:
        """Rows a second of one run on an empty table."""
        run.database.empty_tables()
        run.database.settle()
        done = subprocess.run(
            [
                *(sys.executable, "-m", f"bench.peers.{self.module}"),
                *(run.database.url, str(run.dataset.good_platforms_csv(self.rows)), *self.options),
            ],
            cwd=PROJECT,
            env=dict(self.environment),
            capture_output=True,
            text=True,
            timeout=_PEER_PATIENCE_SECONDS,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{self.module}: {done.stderr[-2000:]}")
        stored = run.database.count("peer.platforms")
        assert stored == self.rows, f"{self.module} stored {stored} rows"
        return self.rows / float(done.stdout)


def frameworks(run: Run, product: Product) -> None:
    """Rows a second of the product over those of each peer, round by round."""
    scale = run.scale
    body = run.dataset.platforms_ndjson(scale.rows)
    rates: dict[str, list[float]] = {}
    with _celery(run) as celery_environment:
        peers = [
            _Peer("orm-loop", "orm_loop", scale.orm_rows, os.environ),
            _Peer("django", "django_import", scale.django_rows, os.environ),
        ]
        if celery_environment is None:
            run.results.skipped["celery"] = REDIS_HINT
        else:
            peers += [
                _Peer("celery", "celery_import", scale.celery_rows, celery_environment, ("core",)),
                _Peer("celery-add-all", "celery_import", scale.celery_rows, celery_environment, ("orm",)),
            ]
        rounds = min(ROUNDS, scale.pairs)
        for number in range(rounds):
            run.say(f"frameworks: round {number + 1} of {rounds}")
            run.database.empty_tables()
            run.database.settle()
            finished = run.import_body(product, "platforms", body)
            rates.setdefault("product", []).append(body.records / finished.finished_seconds)
            for peer in peers:
                rates.setdefault(peer.key, []).append(peer.rate(run))
    run.results.details["frameworks"] = {
        "rows": {peer.key: peer.rows for peer in peers},
        "rows_per_second": {key: [round(rate) for rate in found] for key, found in rates.items()},
    }
    for peer in peers:
        if peer.key != "celery-add-all":
            run.results.put(
                peer.key,
                median_ratio(rates["product"], rates[peer.key]),
                f"{median(rates['product']) / 1000:,.0f} k rows/s",
                f"{median(rates[peer.key]) / 1000:,.1f} k rows/s",
            )


@contextmanager
def _celery(run: Run) -> Iterator[Mapping[str, str] | None]:
    """Run Redis and a Celery worker of two processes; yields the environment of a producer, or None without Redis."""
    folder = run.folder / "redis"
    with redis(folder) as redis_url:
        if redis_url is None:
            yield None
            return
        environment = os.environ | {"BENCH_REDIS_URL": redis_url, "BENCH_DATABASE_URL": run.database.url}
        with (folder / "celery.log").open("wb") as log:
            worker = subprocess.Popen(
                [
                    *(sys.executable, "-m", "celery", "-A", "bench.peers.celery_tasks", "worker"),
                    *("--concurrency", "2", "--loglevel", "warning"),
                    *("--without-gossip", "--without-mingle", "--without-heartbeat"),
                ],
                cwd=PROJECT,
                env=dict(environment),
                stdout=log,
                stderr=log,
            )
            try:
                yield environment
            finally:
                end(worker)
