"""The scale of a run: row counts, pairs and samples."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Scale:
    """Sizes of one run. All counts are rows or samples."""

    rows: int = 1_000_000
    """Rows of the main imports."""
    busy_rows: int = 5_000_000
    """Rows of the import background_task which another user's small imports run."""
    large_rows: int = 10_000_000
    """Rows of the import whose memory is compared with that of `rows` and during which requests are timed."""
    pairs: int = 5
    """Times that product and `\\copy` take turns."""
    command_pairs: int = 3
    """The same for commands, which take several times as long."""
    orm_rows: int = 10_000
    django_rows: int = 100_000
    celery_rows: int = 300_000
    posts: int = 300
    """Requests of 1,000 rows by one client."""
    posts_by_each_of_eight: int = 60
    small_jobs: int = 300
    """Imports of ten rows."""
    background_jobs: int = 3_000
    """Background jobs that do nothing, by one and by two workers."""
    enqueued_jobs: int = 1_000
    """Background jobs enqueued one by one."""
    pickups: int = 150
    """Background jobs per round whose queue latency is measured."""
    finished_jobs: int = 1_000_000
    """Background jobs in the history."""
    growth: tuple[int, ...] = (1_000, 10_000, 100_000, 1_000_000)
    """Numbers of waiting jobs, finished jobs and imports at which single steps are timed."""
    queued_imports: int = 10_000
    """One user's imports of three rows that are queued while another user's ten rows are timed."""
    statistics_reads: int = 200
    page_reads: int = 60
    """Of each page of the dashboard."""
    watched_requests: int = 300
    """API requests with dashboards open, and without, in each of `pairs` rounds."""
    seconds: float = 45 * 60
    """Measures that have not begun by then are skipped."""

    def with_rows(self, rows: int) -> "Scale":
        """The same with other row counts, the large imports in proportion."""
        return replace(self, rows=rows, busy_rows=rows * 5, large_rows=rows * 10)


FULL = Scale()

QUICK = Scale(
    rows=100_000,
    busy_rows=500_000,
    large_rows=1_000_000,
    pairs=1,
    command_pairs=1,
    orm_rows=2_000,
    django_rows=10_000,
    celery_rows=40_000,
    posts=60,
    posts_by_each_of_eight=15,
    small_jobs=60,
    background_jobs=1_000,
    enqueued_jobs=200,
    pickups=40,
    finished_jobs=50_000,
    growth=(1_000, 10_000),
    queued_imports=400,
    statistics_reads=50,
    page_reads=10,
    watched_requests=60,
    seconds=200,
)
"""A smoke run: shows that everything works, not how fast it is."""
