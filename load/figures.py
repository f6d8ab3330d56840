"""Metrics of a run: responses and their times by kind of request, and the resources of processes and PostgreSQL."""

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import psutil
import psycopg

_MIB = 2**20


@dataclass(slots=True)
class Answers:
    """All answers to requests of one kind."""

    seconds: list[float] = field(default_factory=list)
    """Of those that were carried out."""
    refused: int = 0
    """429 and 503 with `Retry-After`."""
    errors: Counter[str] = field(default_factory=Counter)

    def quantile(self, share: float) -> float:
        """Time below which a share of the answers came, in milliseconds."""
        ordered = sorted(self.seconds)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


@dataclass(slots=True)
class Figures:
    """All of a run."""

    answers: dict[str, Answers] = field(default_factory=lambda: defaultdict(Answers))
    accepted: dict[int, int] = field(default_factory=dict)
    """Rows of accepted imports by id."""
    memory: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Unique memory of each process, in MiB, sampled."""
    connections: list[int] = field(default_factory=list)
    """Connections to PostgreSQL, sampled."""
    events: int = 0
    broken: list[str] = field(default_factory=list)
    """Promises that were not kept."""

    @property
    def errors(self) -> int:
        """Answers that were not promised."""
        return sum(answers.errors.total() for answers in self.answers.values())


async def sample(figures: Figures, processes: dict[str, int], url: str, every: float, stop: asyncio.Event) -> None:
    """Take samples until stopped."""
    handles = {name: psutil.Process(pid) for name, pid in processes.items()}
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        while not stop.is_set():
            for name, process in handles.items():
                figures.memory[name].append(process.memory_full_info().uss / _MIB)
            cursor = await connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
            )
            row: Any = await cursor.fetchone()
            figures.connections.append(row[0] - 1)
            await asyncio.sleep(every)


def lines_of(figures: Figures, seconds: float, clients: int) -> list[str]:
    """The run as tables of Markdown."""
    lines = [
        f"{clients} clients for {seconds:.0f} s.",
        "",
        "| requests | done | a second | p50 ms | p99 ms | max ms | 429/503 with Retry-After | errors |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind, answers in sorted(figures.answers.items()):
        done = len(answers.seconds)
        longest = 1000 * max(answers.seconds, default=0.0)
        times = f"{answers.quantile(0.5):.0f} | {answers.quantile(0.99):.0f} | {longest:.0f}"
        lines.append(
            f"| {kind} | {done:,} | {done / seconds:.1f} | {times} | {answers.refused} | {answers.errors.total()} |"
        )
    lines += ["", "| what | |", "|---|---|"]
    lines.append(f"| imports accepted, rows | {len(figures.accepted):,}, {sum(figures.accepted.values()):,} |")
    lines.append(f"| events received | {figures.events:,} |")
    for name, samples in figures.memory.items():
        third = max(1, len(samples) // 3)
        early, late = max(samples[:third], default=0.0), max(samples[-third:], default=0.0)
        lines.append(
            f"| memory of {name}: first third, last third, most | {early:.0f}, {late:.0f}, {max(samples):.0f} MiB |"
        )
    lines.append(f"| connections to PostgreSQL, most | {max(figures.connections, default=0)} |")
    lines.append(f"| **errors, promises broken** | **{figures.errors}, {len(figures.broken)}** |")
    for kind, answers in figures.answers.items():
        lines += [f"ERROR: {kind}: {what} ({times})" for what, times in answers.errors.most_common(5)]
    return [*lines, *(f"BROKEN: {what}" for what in figures.broken)]
