"""The product in turn with an ORM loop, django-import-export and Celery, whose slower rates need fewer rows."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

from bench.dataset import PROJECT
from bench.measures.run import Run
from bench.product import Product
from bench.samples import median_ratio

ROUNDS = 3
_PEER_PATIENCE_SECONDS = 180
_REDIS_HINT = "redis-server is not installed (Debian: apt-get install redis-server)"


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
            run.results.skipped["celery"] = _REDIS_HINT
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
    redis_server = shutil.which("redis-server")
    if redis_server is None:
        yield None
        return
    port = _free_port()
    folder = run.folder / "redis"
    folder.mkdir()
    environment = _environment(port, run.database.url)
    with (folder / "log").open("wb") as log:
        redis = subprocess.Popen(
            [redis_server, "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", ""],
            stdout=log,
        )
        try:
            _wait_for_port(port)
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
                _end(worker)
        finally:
            _end(redis)


def _environment(port: int, database_url: str) -> dict[str, str]:
    return os.environ | {"BENCH_REDIS_URL": f"redis://127.0.0.1:{port}/0", "BENCH_DATABASE_URL": database_url}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
