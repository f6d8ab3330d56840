"""The rows of the table: measures, targets and the prototype's results."""

# ruff: noqa: RUF001  (the multiplication sign is the unit)

from dataclasses import dataclass
from enum import StrEnum


class Bound(StrEnum):
    """On which side of the limit a value must lie."""

    AT_MOST = "≤"
    AT_LEAST = "≥"


class Unit(StrEnum):
    """What a value counts."""

    RATIO = ""
    TIMES = "×"
    MILLISECONDS = "ms"
    MEBIBYTES = "MiB"
    KILOBYTES = "kB"


@dataclass(frozen=True, slots=True)
class Target:
    """One row of the table."""

    key: str
    measure: str
    limit: float
    unit: Unit
    bound: Bound = Bound.AT_MOST
    aim: float | None = None
    """A better value than the limit, which is hoped for but not required."""
    prototype: str = ""

    def is_met_by(self, value: float) -> bool:
        """Whether the value meets the limit."""
        return value <= self.limit if self.bound is Bound.AT_MOST else value >= self.limit

    def show(self, value: float) -> str:
        """The value with its unit, as short as its size allows."""
        digits = 2 if self.unit is Unit.RATIO else 1 if abs(value) < 100 else 0
        return f"{value:,.{digits}f} {self.unit}".strip()

    @property
    def text(self) -> str:
        """The target in words, such as `≤ 1.25 (aim 1.00)`."""
        aim = f" (aim {self.show(self.aim)})" if self.aim is not None else ""
        return f"{self.bound} {self.show(self.limit)}{aim}"


TARGETS = (
    Target(
        "platforms-ndjson",
        r"platforms as NDJSON, 1 % bad: time over \copy's",
        1.15,
        Unit.RATIO,
        aim=0.9,
        prototype="1.08",
    ),
    Target("platforms-csv", r"the same as CSV: time over \copy's", 1.5, Unit.RATIO),
    Target("typed-csv", r"ten typed columns as CSV: time over \copy's of the same file", 2.0, Unit.RATIO),
    Target(
        "commands-by-id", r"commands by platformId, foreign key: time over \copy's", 0.9, Unit.RATIO, prototype="0.94"
    ),
    Target("commands-by-name", r"commands by platformName: time over \copy's", 1.0, Unit.RATIO),
    Target("upsert", r"rows upserted, all stored before: time over \copy and INSERT … ON CONFLICT", 1.3, Unit.RATIO),
    Target("undo", "an import undone: time over a DELETE of the same rows by id range", 1.5, Unit.RATIO),
    Target("first-event-p99", "import accepted → its first event: p99", 20, Unit.MILLISECONDS),
    Target("export-csv", r"platforms exported as CSV: time over \copy … to's", 1.3, Unit.RATIO),
    Target("export-ndjson", r"… as NDJSON: over \copy of the same JSON", 1.3, Unit.RATIO),
    Target("export-parquet", r"… as Parquet: over \copy of CSV", 3.0, Unit.RATIO),
    Target("export-xlsx", r"… as a workbook: over \copy of CSV", 60.0, Unit.RATIO),
    Target("orm-loop", "rows/s over one ORM insert + commit a row", 300, Unit.TIMES, Bound.AT_LEAST, prototype="494 ×"),
    Target(
        "django",
        "rows/s over django-import-export, bulk with validation",
        20,
        Unit.TIMES,
        Bound.AT_LEAST,
        prototype="33 ×",
    ),
    Target("celery", "rows/s over Celery tasks of 1,000 rows", 10, Unit.TIMES, Bound.AT_LEAST, prototype="17 ×"),
    Target("accepted", r"the NDJSON body accepted (202): time over \copy's", 0.2, Unit.RATIO, prototype="0.09"),
    Target("post-alone-p50", "POST of 1,000 rows answered, alone: p50", 3, Unit.MILLISECONDS, prototype="0.7 ms"),
    Target("post-alone-p99", "… alone: p99", 8, Unit.MILLISECONDS, prototype="0.9 ms"),
    Target(
        "post-bare",
        "… alone: p50 over a bare FastAPI route's that checks a key and stores the body in one INSERT",
        1.5,
        Unit.RATIO,
    ),
    Target("completed-bare", "… → Completed: p50 over that route's", 3.0, Unit.RATIO),
    Target(
        "eight-rate",
        "imports of 1,000 rows by eight clients without pause: rows/s over one large import's",
        0.5,
        Unit.RATIO,
        Bound.AT_LEAST,
    ),
    Target("post-eight-p99", "… eight clients at once: p99", 15, Unit.MILLISECONDS, prototype="4.4 ms"),
    Target("post-beside-p99", "… beside a 10 M-row import: p99", 30, Unit.MILLISECONDS, prototype="16 ms"),
    Target("completed-p50", "POST of 1,000 rows → Completed: p50", 20, Unit.MILLISECONDS, prototype="6 ms"),
    Target("completed-p99", "… → Completed: p99", 40, Unit.MILLISECONDS, prototype="9 ms"),
    Target("ten-rows-wait-p50", "10 rows: startedAt - createdAt: p50", 3, Unit.MILLISECONDS),
    Target("ten-rows-run-p50", "10 rows: completedAt - startedAt: p50", 5, Unit.MILLISECONDS),
    Target(
        "memory-growth", "peak memory, 1 M → 10 M rows: most that a process grew", 8, Unit.MEBIBYTES, prototype="1 MiB"
    ),
    Target("memory-api", "peak memory of the API process, 10 M rows", 120, Unit.MEBIBYTES, prototype="47 MiB"),
    Target("memory-worker", "peak memory of the larger worker, 10 M rows", 100, Unit.MEBIBYTES, prototype="43 MiB"),
    Target("fairness-p99", "another user's 10 rows → Completed, beside a 5 M-row import: p99", 200, Unit.MILLISECONDS),
    Target(
        "fairness-queued-p99",
        "… beside 10,000 queued imports of three rows of one user: p99",
        200,
        Unit.MILLISECONDS,
    ),
    Target("jobs-single", "jobs enqueued/s, one by one: over PgQueuer's", 0.9, Unit.RATIO, Bound.AT_LEAST),
    Target("jobs-transaction", "… each in a transaction with one row", 0.9, Unit.RATIO, Bound.AT_LEAST),
    Target("jobs-batch", "… 1,000 in a call", 0.7, Unit.RATIO, Bound.AT_LEAST),
    Target("jobs-one", "no-op jobs/s, one worker: over PgQueuer's", 1.0, Unit.RATIO, Bound.AT_LEAST),
    Target("jobs-two", "… two workers", 1.0, Unit.RATIO, Bound.AT_LEAST),
    Target("jobs-one-history", "… one worker, 1 M finished jobs", 1.0, Unit.RATIO, Bound.AT_LEAST),
    Target("jobs-two-history", "… two workers, 1 M finished jobs", 1.0, Unit.RATIO, Bound.AT_LEAST),
    Target(
        "jobs-history-change",
        "no-op jobs/s with 1 M finished jobs: over those without",
        0.95,
        Unit.RATIO,
        Bound.AT_LEAST,
    ),
    Target("jobs-pickup-p50", "job enqueued → its first line, idle worker: p50 over PgQueuer's", 0.7, Unit.RATIO),
    Target("jobs-pickup-p99", "… p99", 0.6, Unit.RATIO),
    Target("growth-waiting", "a step's cost beside 1 M waiting jobs over that beside 1,000", 2.0, Unit.RATIO),
    Target("growth-finished", "… 1 M finished jobs", 2.0, Unit.RATIO),
    Target("growth-imports", "… 1 M imports", 2.0, Unit.RATIO),
    Target("jobs-statistics", "statistics read, 1 M jobs: p50", 5, Unit.MILLISECONDS),
    Target(
        "dashboard-page", "the dashboard's slowest page, 1 M finished jobs, 10,000 failed: p95", 50, Unit.MILLISECONDS
    ),
    Target("dashboard-visit", "transferred at the first visit of the dashboard", 60, Unit.KILOBYTES),
    Target("dashboard-open", "an API request beside ten open dashboards: p50 over that without", 1.1, Unit.RATIO),
)
"""Every row of the table, in its order."""
