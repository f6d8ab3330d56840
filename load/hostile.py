"""`python -m load.hostile`: how long another user's ten rows take while one user attacks.

PostgreSQL, `commandapi serve` and two workers are started; one attack after the other runs for some seconds, and
meanwhile a second user sends ten rows, again and again, and waits until they are stored. A third user's requests have a
key each that the server has not seen, as all keys are after a restart.
"""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final

import psutil
import psycopg
import typer
from bench.connection import Connection, Server
from bench.database import postgres
from bench.dataset import PROJECT
from bench.product import Product, ProductInstallation

from bulkport.imports.erasure import erase_user
from bulkport.pools import open_pool
from commandapi.auth.keys import create_key
from load.attacks import ATTACKS

_BOUND_MS: Final = 200.0
_TEN_ROWS: Final = json.dumps({"platforms": [{"platformName": f"row {row}"} for row in range(10)]}).encode()
_PAUSE_SECONDS: Final = 0.02
_BEGIN_SECONDS: Final = 0.5
"""Time for an attack to reach its strength, which is not measured."""
_PATIENCE_SECONDS: Final = 30.0
_HEAD: Final = (
    "| attack | ten rows, times | p50 ms | p99 ms | max ms | accepted, p99 ms | new keys, p99 ms | refused "
    "| processors used | API, MiB | the attacker's answers |\n" + "|---" * 11 + "|"
)
_FINAL: Final = {"Completed", "PartialSuccess", "Failed", "Cancelled"}


@dataclass(slots=True)
class Figures:
    """What another user saw of one attack."""

    name: str
    done: list[float] = field(default_factory=list)
    """Milliseconds from the request of ten rows until they were known to be stored."""
    answered: list[float] = field(default_factory=list)
    """Milliseconds until they were accepted."""
    strangers: list[float] = field(default_factory=list)
    """Milliseconds of requests with a key that the server had not seen."""
    refused: int = 0
    """Answers to the two that were none of 2xx."""
    load: dict[str, float] = field(default_factory=dict)
    """Processors that each kind of process used."""
    memory: float = 0.0
    """MiB that the API has at the end."""
    answers: dict[str, int] = field(default_factory=dict)
    """What the attacker was answered."""

    @property
    def holds(self) -> bool:
        """Whether the promise was kept."""
        return bool(self.done) and _quantile(self.done, 0.99) <= _BOUND_MS and not self.refused

    @property
    def line(self) -> str:
        """A row of the table."""
        done = " | ".join(f"{_quantile(self.done, share):.0f}" for share in (0.5, 0.99, 1.0))
        answers = ", ".join(f"{status}: {count:,}" for status, count in sorted(self.answers.items()))
        load = ", ".join(f"{name} {share:.1f}" for name, share in self.load.items())
        return (
            f"| {self.name} | {len(self.done)} | {done} | {_quantile(self.answered, 0.99):.0f} "
            f"| {_quantile(self.strangers, 0.99):.0f} | {self.refused} | {load} | {self.memory:.0f} | {answers} |"
        )


def _quantile(samples: list[float], share: float) -> float:
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def main(
    seconds: Annotated[float, typer.Option(min=1, help="How long each attack is measured.")] = 3,
    only: Annotated[list[str], typer.Option(help="Attacks whose name has this in it.")] = [],  # noqa: B006
) -> None:
    """Attack, and measure another user. Ends with 1 where one waited too long or was refused."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started ends too
    chosen = [name for name in ATTACKS if not only or any(part in name for part in only)]
    folder = Path(tempfile.mkdtemp(prefix="commandapi-hostile-"))
    folder.chmod(0o755)
    # Receivers and sources of the attacks are on this machine.
    os.environ |= {"COMMANDAPI_EGRESS_ALLOWED_NETWORKS": "127.0.0.0/8", "COMMANDAPI_EGRESS_ALLOW_HTTP": "true"}
    measured: list[Figures] = []
    try:
        with postgres(folder) as url:
            installation = ProductInstallation(url, folder / "product.log")
            installation.migrate()
            with installation.serve() as product:
                _warm_up(product)
                print(f"Each attack for {seconds:g} s; load average {os.getloadavg()[0]:.1f}.\n")
                print(_HEAD)
                for name in ("nothing", *chosen):
                    measured.append(_measure(name, product, url, seconds))
                    print(measured[-1].line, flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    broken = [figures.name for figures in measured if not figures.holds]
    print(f"\nBeyond {_BOUND_MS:g} ms, or refused: {', '.join(broken) or 'none'}")
    raise SystemExit(1 if broken else 0)


def _warm_up(product: Product) -> None:
    figures = Figures("")
    with Connection(product.other_user) as connection:
        for _ in range(20):
            _ten_rows(connection, figures)


def _measure(name: str, product: Product, url: str, seconds: float) -> Figures:
    figures = Figures(name)
    key, new = asyncio.run(_keys(url, f"attacker {name}", int(seconds * 20)))
    with _attacking(name, product.server, key, figures):
        stop = threading.Event()
        strangers = threading.Thread(target=_ask_as_strangers, args=(product.server, new, figures, stop))
        strangers.start()
        used = _processor_seconds(product, url)
        started = time.monotonic()
        with Connection(product.other_user) as connection:
            while time.monotonic() < started + seconds:
                _ten_rows(connection, figures)
                time.sleep(_PAUSE_SECONDS)
        passed = time.monotonic() - started
        figures.load = {kind: (after - used[kind]) / passed for kind, after in _processor_seconds(product, url).items()}
        figures.memory = psutil.Process(product.processes["api"]).memory_info().rss / 2**20
        stop.set()
        strangers.join()
    asyncio.run(_forget(url, f"attacker {name}"))
    return figures


def _ten_rows(connection: Connection, figures: Figures) -> None:
    """Send ten rows and wait until they are stored, asking as a client does that is in a hurry."""
    started = time.perf_counter()
    response = connection.exchange(connection.prepare("POST", "/api/platforms/bulk", _TEN_ROWS))
    figures.answered.append(1000 * (time.perf_counter() - started))
    if response.status != 202:
        figures.refused += 1
        time.sleep(1)
        return
    job = response.json(202)["id"]
    while True:
        shown = connection.get(f"/api/platforms/bulk/{job}/status?wait=5")
        if shown.status != 200:
            figures.refused += 1
            time.sleep(0.1)
        elif shown.json(200)["status"] in _FINAL:
            break
        if time.perf_counter() > started + _PATIENCE_SECONDS:
            break
    figures.done.append(1000 * (time.perf_counter() - started))


def _ask_as_strangers(server: Server, keys: list[str], figures: Figures, stop: threading.Event) -> None:
    for key in keys:
        if stop.is_set():
            return
        started = time.perf_counter()
        with Connection(Server(server.host, server.port, key)) as connection:
            figures.refused += connection.get("/api/imports").status != 200
        figures.strangers.append(1000 * (time.perf_counter() - started))
        stop.wait(0.05)


@contextmanager
def _attacking(name: str, server: Server, key: str, figures: Figures) -> Iterator[None]:
    if name not in ATTACKS:
        yield
        return
    process = subprocess.Popen(
        [sys.executable, "-m", "load.attacker", name, server.host, str(server.port)],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    try:
        process.stdin.write(f"{key}\n")
        process.stdin.flush()
        if process.stdout is not None:
            process.stdout.readline()
        time.sleep(_BEGIN_SECONDS)
        yield
        told, _ = process.communicate(timeout=_PATIENCE_SECONDS)
        figures.answers = json.loads(told or "{}")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _processor_seconds(product: Product, url: str) -> dict[str, float]:
    """Processor time of the API, the workers and PostgreSQL so far."""
    groups = {"API": [product.processes["api"]], "workers": [], "PostgreSQL": []}
    groups["workers"] = [pid for name, pid in product.processes.items() if name.startswith("worker")]
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT pg_read_file('postmaster.pid')").fetchone()
    assert row is not None
    postmaster = int(row[0].split()[0])
    used = {}
    for kind, pids in groups.items():
        times = [psutil.Process(pid).cpu_times() for pid in pids or [postmaster]]
        # PostgreSQL's children that ended, or are still there.
        used[kind] = sum(
            each.user + each.system + (each.children_user + each.children_system) * (kind == "PostgreSQL")
            for each in times
        )
        if kind == "PostgreSQL":
            used[kind] += sum(_own_seconds(child) for child in psutil.Process(postmaster).children())
    return used


def _own_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


async def _keys(url: str, attacker: str, count: int) -> tuple[str, list[str]]:
    """The attacker's key, and keys of as many other users."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        return await create_key(connection, attacker), [
            await create_key(connection, f"new {attacker} {number}") for number in range(count)
        ]


async def _forget(url: str, user: str) -> None:
    """Remove the data of an attack, and wait until nothing processes it any more."""
    async with open_pool(url, name="hostile", most=1) as pool:
        await erase_user(pool, user)
        async with pool.connection() as connection:
            await connection.execute("TRUNCATE platforms, commands")
            deadline = time.monotonic() + _PATIENCE_SECONDS
            left = b"SELECT count(*) FROM bulkport.jobs WHERE state IN ('enqueued', 'processing')"
            while await (await connection.execute(left)).fetchone() != (0,) and time.monotonic() < deadline:
                await asyncio.sleep(0.1)


if __name__ == "__main__":
    typer.run(main)
