"""How PostgreSQL finds background jobs among a million finished ones, as a page of the documentation.

`python -m bench.job_plans > docs/background-jobs-plans.md` makes the history in a PostgreSQL of its own, asks what a
user would, and prints how long that took and how it was carried out.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

from bench.database import postgres
from bench.job_history import add_history
from bulkport.jobs.job import JobState
from bulkport.jobs.procrastinate_engine.reading import ProcrastinateReader
from bulkport.jobs.procrastinate_engine.reading.finding import Start, Statement, state_queries
from bulkport.jobs.procrastinate_engine.reading.search import FIRST_SCANNED, MOST_ANCHORED, MOST_GATHERED
from bulkport.jobs.reading.metrics import Granularity
from bulkport.jobs.reading.query import JobQuery, JobSort
from bulkport.migrations import upgrade_sql
from bulkport.pools import open_pool

JOBS: Final = 1_000_000
READS: Final = 50
_PAGE: Final = 51
_ONLY_BITMAPS: Final = ("enable_seqscan", "enable_indexscan", "enable_indexonlyscan")
_NOW: Final = datetime.now(UTC)

FAILED: Final = frozenset({JobState.FAILED})
SUCCEEDED: Final = frozenset({JobState.SUCCEEDED})

SEARCHES: Final[dict[str, JobQuery]] = {
    "The newest jobs, whatever their state": JobQuery(),
    "The newest succeeded jobs": JobQuery(states=SUCCEEDED),
    "The failed jobs of a task since yesterday": JobQuery(
        states=FAILED, task="task-0", finished_since=_NOW - timedelta(days=1)
    ),
    "The jobs of a user": JobQuery(user_id="user-7"),
    "The succeeded jobs of a task in a queue": JobQuery(states=SUCCEEDED, task="task-7", queue="queue-2"),
    "The jobs that ended last": JobQuery(sort=JobSort.FINISHED),
    "The longest succeeded jobs": JobQuery(states=SUCCEEDED, sort=JobSort.DURATION),
    "The longest jobs of a task in the last hour": JobQuery(
        task="task-7", finished_since=_NOW - timedelta(hours=1), sort=JobSort.DURATION
    ),
    "Jobs created on a day long ago, the first ones": JobQuery(
        created_since=_NOW - timedelta(days=5), created_until=_NOW - timedelta(days=4), descending=False
    ),
    "A text that one job has": JobQuery(text="USER123456@example"),
    "A text that all jobs have": JobQuery(text="example.org"),
    "A text that no job has": JobQuery(text="nothing of the kind"),
    "A text of two letters": JobQuery(text="zq"),
    "A text in the errors of failed jobs": JobQuery(states=FAILED, text="mail-3 does not"),
    "A kind of error": JobQuery(error_type="ConnectionError", descending=False),
}


async def main() -> None:
    """Print the page."""
    with tempfile.TemporaryDirectory(prefix="bulkport-plans-") as folder, postgres(Path(folder)) as url:
        with psycopg.connect(url) as connection:
            connection.execute(upgrade_sql())
        add_history(url, JOBS)
        async with (
            open_pool(url, name="plans", most=1) as pool,
            await psycopg.AsyncConnection.connect(url, autocommit=True) as connection,
        ):
            async with pool.connection() as pooled:
                backend = pooled.info.backend_pid
            await _print_page(ProcrastinateReader(pool), connection, backend)


async def _print_page(reader: ProcrastinateReader, connection: psycopg.AsyncConnection[Any], backend: int) -> None:
    version = (await (await connection.execute("SHOW server_version")).fetchone() or [""])[0]
    print(f"""# How jobs are found among a million

Made by `python -m bench.job_plans > docs/background-jobs-plans.md`, on PostgreSQL {version} with its usual settings
(`shared_buffers` of 128 MB) and {JOBS:,} finished jobs of the last week, one in a hundred failed. Times are those
of {READS} calls, as the caller sees them, for a page of 50: the median of what passed, and the mean of what PostgreSQL
and the caller computed, which does not depend on what else the machine does.

Jobs are looked for state by state, in the order of an index that begins with the state, or with one filter and the
state; the few best of each state are merged. What that index cannot tell (a text, a second filter) is *scanned* for
among the next {FIRST_SCANNED:,} jobs in the order. Where that does not fill the page, all that the query finds is
*gathered* by whatever indexes tell it best, up to {MOST_GATHERED:,} jobs, and sorted. What is more frequent than that,
and yet not among the first, is scanned for in a larger part of the table, and the page tells that there may be more.
So every page reads a bounded part of the table. Below are the plans for one state of each search, the first that has
jobs.

| Asked for | Median | Processor |
|---|--:|--:|""")
    for title, query in SEARCHES.items():
        print(f"| {title} | {await _timed(partial(reader.search, query), backend)} |")
    for title, query in (("How many there are", JobQuery()), ("How many a task has", JobQuery(task="task-7"))):
        print(f"| {title}, up to 10,000 | {await _timed(partial(reader.count, query), backend)} |")
    day = datetime.now(UTC) - timedelta(days=1)
    numbers: dict[str, Callable[[], Awaitable[object]]] = {
        "`statistics()`": reader.statistics,
        "`series()` of a day by minutes": lambda: reader.series(Granularity.MINUTE, day),
        "`task_statistics()` of a day": reader.task_statistics,
        "`queues()`": reader.queues,
        "`servers()`": reader.servers,
    }
    for title, read in numbers.items():
        print(f"| {title} | {await _timed(read, backend)} |")
    for title, query in SEARCHES.items():
        print(f"\n## {title}\n\n`{_shown(query)}`")
        finished = [part for part in state_queries(query) if part.state.is_final]
        part = finished[0]
        start = Start(None, is_backward=False)
        if not part.has_rest:
            await _print_plan(connection, "", part.take(start, _PAGE))
            continue
        await _print_plan(connection, "Scanned:", part.scan(start, _PAGE, FIRST_SCANNED))
        if part.can_be_gathered:
            for setting in _ONLY_BITMAPS:
                await connection.execute(f"SET {setting} = off")
            if part.anchor is not None:
                statement = part.gather_by_anchor(finished[1:], start, _PAGE, MOST_ANCHORED)
                await _print_plan(connection, f"Gathered by `{part.anchor}`:", statement)
            await _print_plan(connection, "Gathered:", part.gather(finished[1:], start, _PAGE, MOST_GATHERED))
            await connection.execute("RESET ALL")


async def _timed(read: Callable[[], Awaitable[object]], backend: int) -> str:
    """Columns of the table: the median, and the processor time of a call on both sides."""
    times = []
    used = _processor_seconds(backend) + time.process_time()
    for _ in range(READS):
        begun = time.perf_counter()
        await read()
        times.append((time.perf_counter() - begun) * 1000)
    used = _processor_seconds(backend) + time.process_time() - used
    return f"{statistics.median(times):.1f} ms | {used / READS * 1000:.1f} ms"


def _processor_seconds(pid: int) -> float:
    """What a process has used so far (proc_pid_stat(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _print_plan(connection: psycopg.AsyncConnection[Any], title: str, statement: Statement) -> None:
    text = sql.SQL("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, BUFFERS OFF) {}").format(statement.text)
    cursor = await connection.execute(text, statement.arguments, prepare=False)
    plan = "\n".join(row[0] for row in await cursor.fetchall())
    print(f"\n{title}\n\n```\n{plan}\n```" if title else f"\n```\n{plan}\n```")


def _shown(query: JobQuery) -> str:
    default = JobQuery()
    given = {
        name: getattr(query, name)
        for name in JobQuery.__dataclass_fields__
        if getattr(query, name) != getattr(default, name)
    }
    parts = []
    for name, value in given.items():
        if isinstance(value, frozenset):
            shown = "{" + ", ".join(f"JobState.{state.name}" for state in value) + "}"
        elif isinstance(value, datetime):
            shown = f"now - {_NOW - value}"
        else:
            shown = f"JobSort.{value.name}" if isinstance(value, JobSort) else repr(value)
        parts.append(f"{name}={shown}")
    return f"JobQuery({', '.join(parts)})"


if __name__ == "__main__":
    asyncio.run(main())
    sys.stdout.flush()
