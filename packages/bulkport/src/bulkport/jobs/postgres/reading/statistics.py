"""Counts, totals and time series: what has been moved into them, plus the deltas that have not been yet."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, LiteralString

from psycopg import sql

from bulkport.jobs.errors import InvalidJobQuery
from bulkport.jobs.job import JobState
from bulkport.jobs.port.metrics import (
    Granularity,
    JobStatistics,
    JobTotals,
    Percentiles,
    QueueActivity,
    SeriesGroup,
    SeriesPoint,
    TaskStatistics,
    steps_between,
    task_granularity,
)
from bulkport.jobs.postgres.reading.snapshot import Snapshot
from bulkport.sanitize import storable_text

MOST_STEPS: Final = 5_000
"""Steps that a time series has at most."""
MOST_OVERDUE: Final = 1_000

# The deltas are added up first: there may be thousands, of few kinds.
COUNTED: Final[LiteralString] = """
not_moved AS MATERIALIZED (
    SELECT task, queue, left_state, entered_state, sum(jobs) AS jobs
    FROM bulkport.job_deltas GROUP BY task, queue, left_state, entered_state
), counted AS (
    SELECT task, queue, state, jobs FROM bulkport.job_counts
    UNION ALL SELECT task, queue, entered_state, jobs FROM not_moved WHERE entered_state IS NOT NULL
    UNION ALL SELECT task, queue, left_state, -jobs FROM not_moved WHERE left_state IS NOT NULL
)
"""

# One statement: what it counts it counts at one moment, and it is asked for every second.
STATISTICS: Final = sql.SQL(f"""
WITH {COUNTED}, by_state AS (
    SELECT queue, state::text, sum(jobs)::bigint AS jobs FROM counted GROUP BY queue, state HAVING sum(jobs) > 0
), running AS (
    SELECT queue, count(*) AS jobs FROM bulkport.jobs WHERE state = 'processing' GROUP BY queue
), total AS (
    SELECT succeeded, failed, retried, cancelled, enqueued FROM bulkport.job_series WHERE granularity = 'all'
    UNION ALL
    SELECT sum(jobs) FILTER (WHERE entered_state = 'succeeded'), sum(jobs) FILTER (WHERE entered_state = 'failed'),
           sum(jobs) FILTER (WHERE entered_state = 'retrying'), sum(jobs) FILTER (WHERE entered_state = 'cancelled'),
           sum(jobs) FILTER (WHERE left_state IS NULL)
    FROM not_moved
)
SELECT clock_timestamp() AS as_of,
       (SELECT COALESCE(json_agg(by_state), '[]') FROM by_state) AS counts,
       (SELECT COALESCE(json_object_agg(queue, jobs), '{{}}') FROM running) AS running,
       (SELECT to_json(sums) FROM (
            SELECT COALESCE(sum(succeeded), 0) AS succeeded, COALESCE(sum(failed), 0) AS failed,
                   COALESCE(sum(retried), 0) AS retried, COALESCE(sum(cancelled), 0) AS cancelled,
                   COALESCE(sum(enqueued), 0) AS enqueued FROM total) AS sums) AS totals,
       (SELECT count(*) FROM (
            SELECT FROM bulkport.jobs WHERE state IN ('scheduled', 'retrying') AND due_at < clock_timestamp()
            LIMIT %(most_overdue)s) AS due) AS overdue,
       (SELECT count(*) FROM bulkport.servers) AS servers,
       (SELECT count(*) FROM bulkport.servers
        WHERE last_heartbeat < clock_timestamp() - make_interval(secs => %(silent_seconds)s)) AS silent_servers,
       (SELECT count(*) FROM bulkport.recurring_jobs) AS recurring
""")

# The requested buckets: the stored ones, and deltas not yet moved into them.
_BUCKETS: Final[LiteralString] = """
WITH bucket AS (
    SELECT starts_at, task, queue, succeeded, failed, retried, cancelled, enqueued, durations, latencies
    FROM bulkport.job_series
    WHERE granularity = %(granularity)s AND starts_at >= %(since)s AND starts_at < %(until)s
      AND (%(task)s::text IS NULL OR task = %(task)s) AND (%(queue)s::text IS NULL OR queue = %(queue)s)
    UNION ALL
    SELECT bulkport.bucket(%(granularity)s, at), task, queue,
           sum(jobs) FILTER (WHERE entered_state = 'succeeded'), sum(jobs) FILTER (WHERE entered_state = 'failed'),
           sum(jobs) FILTER (WHERE entered_state = 'retrying'), sum(jobs) FILTER (WHERE entered_state = 'cancelled'),
           sum(jobs) FILTER (WHERE left_state IS NULL),
           NULL, NULL
    FROM bulkport.job_deltas
    WHERE entered_state IS NOT NULL AND at >= %(since)s AND at < %(until)s
      AND (%(task)s::text IS NULL OR task = %(task)s) AND (%(queue)s::text IS NULL OR queue = %(queue)s)
    GROUP BY 1, 2, 3
    UNION ALL
    SELECT bulkport.bucket(%(granularity)s, at), task, queue, 0, 0, 0, 0, 0,
           bulkport.histogram_of(durations_ms), bulkport.histogram_of(latencies_ms)
    FROM bulkport.job_deltas
    WHERE durations_ms IS NOT NULL AND at >= %(since)s AND at < %(until)s
      AND (%(task)s::text IS NULL OR task = %(task)s) AND (%(queue)s::text IS NULL OR queue = %(queue)s)
)
"""

_SUMS: Final[LiteralString] = """
COALESCE(sum(succeeded), 0)::bigint AS succeeded, COALESCE(sum(failed), 0)::bigint AS failed,
COALESCE(sum(retried), 0)::bigint AS retried, COALESCE(sum(cancelled), 0)::bigint AS cancelled,
COALESCE(sum(enqueued), 0)::bigint AS enqueued
"""

# For each key one row a slot, in the order of slots; slots that no histogram of the key reaches are missing.
_SLOTS: Final[LiteralString] = """
COALESCE(sum(duration), 0)::bigint AS durations, COALESCE(sum(latency), 0)::bigint AS latencies
FROM bucket, unnest(durations, latencies) WITH ORDINALITY AS element (duration, latency, slot)
"""


def _by(column: LiteralString) -> tuple[sql.SQL, sql.SQL]:
    """The sums for each value of a column, and its histogram buckets."""
    return (
        sql.SQL(f"{_BUCKETS} SELECT {column} AS key, {_SUMS} FROM bucket GROUP BY 1"),
        sql.SQL(f"{_BUCKETS} SELECT {column} AS key, {_SLOTS} GROUP BY 1, slot ORDER BY 1, slot"),
    )


_BY_STEP: Final = _by("starts_at")
_BY_QUEUE: Final = _by("queue")
_BY_TASK: Final = _by("task")
_STEPS_BY_TASK: Final = sql.SQL(f"{_BUCKETS} SELECT starts_at AS key, task AS name, {_SUMS} FROM bucket GROUP BY 1, 2")
_STEPS_BY_QUEUE: Final = sql.SQL(
    f"{_BUCKETS} SELECT starts_at AS key, queue AS name, {_SUMS} FROM bucket GROUP BY 1, 2"
)
# Servers count the jobs that they finish themselves.
_STEPS_BY_SERVER: Final = sql.SQL("""
SELECT starts_at AS key, server AS name, succeeded, failed, 0 AS retried, 0 AS cancelled, 0 AS enqueued
FROM bulkport.server_series
WHERE granularity = %(granularity)s AND starts_at >= %(since)s AND starts_at < %(until)s
""")
_STEPS_BY: Final = {
    SeriesGroup.TASK: _STEPS_BY_TASK,
    SeriesGroup.QUEUE: _STEPS_BY_QUEUE,
    SeriesGroup.SERVER: _STEPS_BY_SERVER,
}
_UNFINISHED_BY_TASK: Final = sql.SQL(f"""
WITH {COUNTED}
SELECT task, sum(jobs)::bigint AS jobs FROM counted
WHERE state IN ('enqueued', 'scheduled', 'awaiting', 'retrying') GROUP BY task HAVING sum(jobs) > 0
""")

_BOUNDS: Final = sql.SQL("""
SELECT bulkport.bucket(%(granularity)s, %(since)s) AS since,
       bulkport.bucket(%(granularity)s, COALESCE(%(until)s::timestamptz, clock_timestamp())) AS last
""")


async def read_statistics(snapshot: Snapshot) -> JobStatistics:
    """All jobs in numbers."""
    arguments = {"silent_seconds": snapshot.silent_seconds, "most_overdue": MOST_OVERDUE}
    row = await snapshot.fetch_one(STATISTICS, arguments)
    assert row is not None
    running: dict[str, int] = row["running"]
    states = dict.fromkeys(JobState, 0)
    waiting: dict[str, int] = {}
    for count in row["counts"]:
        states[JobState(count["state"])] += count["jobs"]
        if count["state"] == JobState.ENQUEUED:
            waiting[count["queue"]] = count["jobs"] - running.get(count["queue"], 0)
    states[JobState.PROCESSING] = sum(running.values())
    states[JobState.ENQUEUED] = max(0, states[JobState.ENQUEUED] - states[JobState.PROCESSING])
    return JobStatistics(
        as_of=row["as_of"],
        states=states,
        waiting={queue: jobs for queue, jobs in waiting.items() if jobs > 0},
        overdue=row["overdue"],
        totals=JobTotals(**row["totals"]),
        servers=row["servers"],
        silent_servers=row["silent_servers"],
        recurring=row["recurring"],
    )


async def read_series(
    snapshot: Snapshot,
    granularity: Granularity,
    since: datetime,
    *,
    until: datetime | None = None,
    task: str | None = None,
    queue: str | None = None,
    percentiles: bool = False,
) -> list[SeriesPoint]:
    """A time series without gaps; see `JobReader.series`."""
    arguments, times = await _steps(snapshot, granularity, since, until)
    # A name that cannot be stored is not a task's.
    arguments |= {name: each and storable_text(each) for name, each in (("task", task), ("queue", queue))}
    found = await _read_by(snapshot, _BY_STEP, arguments, percentiles=percentiles)
    return [SeriesPoint(at, *found.get(at, (JobTotals(), None, None))) for at in times]


async def read_grouped_series(
    snapshot: Snapshot,
    by: SeriesGroup,
    granularity: Granularity,
    since: datetime,
    *,
    until: datetime | None = None,
) -> dict[str, list[SeriesPoint]]:
    """Time series without gaps by task, queue or server; see `JobReader.series_by`."""
    arguments, times = await _steps(snapshot, granularity, since, until)
    found: dict[str, dict[datetime, JobTotals]] = defaultdict(dict)
    for row in await snapshot.fetch_all(_STEPS_BY[by], arguments | {"task": None, "queue": None}):
        at, name = row.pop("key"), row.pop("name")
        found[name][at] = JobTotals(**row)
    return {
        name: [SeriesPoint(at, totals.get(at, JobTotals()), None, None) for at in times]
        for name, totals in sorted(found.items())
    }


async def _steps(
    snapshot: Snapshot, granularity: Granularity, since: datetime, until: datetime | None
) -> tuple[dict[str, Any], list[datetime]]:
    """The arguments of the statements, and when each step begins."""
    if since.utcoffset() is None or (until is not None and until.utcoffset() is None):
        raise InvalidJobQuery("a time series needs times with a time zone")
    bounds = await snapshot.fetch_one(_BOUNDS, {"granularity": granularity.value, "since": since, "until": until})
    assert bounds is not None
    first, last = bounds["since"], bounds["last"]
    if steps_between(first, last, granularity) > MOST_STEPS:
        raise InvalidJobQuery(f"a time series has at most {MOST_STEPS:,} steps")
    arguments = {"granularity": granularity.value, "since": first, "until": last + granularity.step}
    count = (last - first) // granularity.step + 1
    return arguments, [first + granularity.step * number for number in range(count)]


async def read_task_statistics(snapshot: Snapshot, window: timedelta = timedelta(days=1)) -> list[TaskStatistics]:
    """See `JobReader.task_statistics`."""
    found = await _read_by(snapshot, _BY_TASK, await _window(snapshot, window))
    unfinished = {row["task"]: row["jobs"] for row in await snapshot.fetch_all(_UNFINISHED_BY_TASK)}
    return [
        TaskStatistics(task, *found.get(task, (JobTotals(), None, None)), unfinished=unfinished.get(task, 0))
        for task in sorted(found.keys() | unfinished.keys())
    ]


async def read_queue_activity(snapshot: Snapshot, window: timedelta = timedelta(minutes=5)) -> list[QueueActivity]:
    """See `JobReader.queue_activity`."""
    found = await _read_by(snapshot, _BY_QUEUE, await _window(snapshot, window))
    return [QueueActivity(queue, *found[queue]) for queue in sorted(found)]


async def _window(snapshot: Snapshot, window: timedelta) -> dict[str, Any]:
    """The arguments of statements about recent activity."""
    if window <= timedelta(0):
        raise InvalidJobQuery("the window of statistics has no length")
    granularity = task_granularity(window)
    now = await snapshot.fetch_one(sql.SQL("SELECT clock_timestamp() AS now"))
    assert now is not None
    try:
        since = now["now"] - window
    except OverflowError:
        since = datetime(1970, 1, 1, tzinfo=UTC)
    return {
        "granularity": granularity.value,
        "since": since - granularity.step,
        "until": now["now"] + granularity.step,
        "task": None,
        "queue": None,
    }


async def _read_by(
    snapshot: Snapshot, by: tuple[sql.SQL, sql.SQL], arguments: Mapping[str, Any], *, percentiles: bool = True
) -> dict[Any, tuple[JobTotals, Percentiles | None, Percentiles | None]]:
    """Totals, duration and latency by key."""
    sums, slots = by
    durations: dict[Any, list[int]] = defaultdict(list)
    latencies: dict[Any, list[int]] = defaultdict(list)
    for row in await snapshot.fetch_all(slots, arguments) if percentiles else ():
        durations[row["key"]].append(row["durations"])
        latencies[row["key"]].append(row["latencies"])
    return {
        key: (
            JobTotals(**row),
            Percentiles.of_histogram(durations[key]),
            Percentiles.of_histogram(latencies[key]),
        )
        for row in await snapshot.fetch_all(sums, arguments)
        for key in [row.pop("key")]
    }
