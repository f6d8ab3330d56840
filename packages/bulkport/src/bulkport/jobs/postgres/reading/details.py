"""One job in full."""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

from psycopg import sql

from bulkport.identifiers import MAX_BIGINT, BackgroundJobId
from bulkport.jobs.errors import InvalidJobQuery
from bulkport.jobs.job import JobState
from bulkport.jobs.port.details import (
    MOST_EVENTS,
    MOST_LINKS,
    BatchStatus,
    JobChange,
    JobDetails,
    JobLink,
    JobLogLine,
    JobRun,
    JobStack,
    JobSummary,
    RunOutcome,
    TimelineEntry,
)
from bulkport.jobs.postgres.reading.snapshot import Snapshot
from bulkport.jobs.postgres.rows import SUMMARIES, job_id_of, number_of, summary_of
from bulkport.jobs.run_output import MOST_LINES

_STORED: Final = sql.SQL("""
SELECT job.result, progress.checkpoint,
       COALESCE((SELECT max(line) FROM bulkport.job_logs log WHERE log.job_id = job.job_id), 0) AS log_lines,
       (SELECT count(*) FROM bulkport.job_continuations waits WHERE waits.child_id = job.job_id) AS parents,
       (SELECT count(*) FROM bulkport.job_continuations waits WHERE waits.parent_id = job.job_id) AS children,
       ARRAY(SELECT copy.job_id FROM bulkport.all_jobs copy WHERE copy.origin_id = job.job_id
             ORDER BY copy.job_id DESC LIMIT %(most_links)s) AS copies
FROM bulkport.all_jobs job LEFT JOIN bulkport.job_progress progress ON progress.job_id = job.job_id
WHERE job.job_id = %(job_id)s
""")

_STACK: Final = sql.SQL("""
SELECT run, asked_at, asked_by, seconds, taken_at, stack, profile FROM bulkport.job_stacks
WHERE job_id = %(job_id)s AND asked_at > clock_timestamp() - interval '1 day'
""")

_RUNS: Final = sql.SQL("""
SELECT run, outcome, server, started_at, ended_at, error_type, error, traceback, retry_at
FROM bulkport.job_runs WHERE job_id = %(job_id)s ORDER BY run DESC LIMIT %(most_events)s
""")

_CHANGES: Final = sql.SQL("""
SELECT at, state::text, reason, actor
FROM bulkport.job_history WHERE job_id = %(job_id)s ORDER BY id DESC LIMIT %(most_events)s
""")

_PARENTS: Final = sql.SQL("""
SELECT waits.on_outcome AS "on", waits.parent_id AS job_id, waits.batch_id, job.task, job.state::text
FROM bulkport.job_continuations waits LEFT JOIN bulkport.all_jobs job ON job.job_id = waits.parent_id
WHERE waits.child_id = %(job_id)s ORDER BY waits.parent_id, waits.batch_id LIMIT %(most_links)s
""")

_CHILDREN: Final = sql.SQL("""
SELECT waits.on_outcome AS "on", waits.child_id AS job_id, NULL::bigint AS batch_id, job.task, job.state::text
FROM bulkport.job_continuations waits LEFT JOIN bulkport.all_jobs job ON job.job_id = waits.child_id
WHERE waits.parent_id = %(job_id)s ORDER BY waits.child_id LIMIT %(most_links)s
""")

_BATCHES: Final = sql.SQL("""
SELECT batch_id, description, user_id, created_at, sealed AS is_sealed, abandoned AS is_abandoned, finished_at
FROM bulkport.job_batches WHERE batch_id < %(before)s ORDER BY batch_id DESC LIMIT %(limit)s
""")

_BATCH_STATES: Final = sql.SQL("""
SELECT batch_id, state::text, count(*) AS jobs FROM bulkport.all_jobs WHERE batch_id = ANY (%(batch_ids)s)
GROUP BY batch_id, state
""")

_LATEST_TAGS: Final = 5_000
_TAGS: Final = sql.SQL("""
SELECT tag, count(*) AS jobs FROM (SELECT tag FROM bulkport.job_tags ORDER BY job_id DESC LIMIT %(latest)s) AS latest
GROUP BY tag ORDER BY jobs DESC, tag LIMIT %(limit)s
""")

_LOGS: Final = sql.SQL("""
SELECT line, run, at, level, message FROM bulkport.job_logs
WHERE job_id = %(job_id)s AND line > %(after)s ORDER BY line LIMIT %(limit)s
""")


async def read_details(
    snapshot: Snapshot, job_id: BackgroundJobId, *, most_args_bytes: int | None = None
) -> JobDetails | None:
    """See `JobReader.details`."""
    number = number_of(job_id)
    if number is None:
        return None
    arguments = {"job_id": number, "most_links": MOST_LINKS, "most_events": MOST_EVENTS}
    row = await snapshot.fetch_one(sql.SQL(SUMMARIES), {"job_ids": [number], "most_args_bytes": most_args_bytes})
    stored = await snapshot.fetch_one(_STORED, arguments)
    if row is None or stored is None:
        return None
    job = summary_of(row)
    runs = [_run(run) for run in await snapshot.fetch_all(_RUNS, arguments)]
    changes = [_change(change) for change in await snapshot.fetch_all(_CHANGES, arguments)]
    stack = await snapshot.fetch_one(_STACK, arguments)
    return JobDetails(
        job=job,
        result=stored["result"],
        checkpoint=stored["checkpoint"],
        timeline=tuple(timeline(job, reversed(runs), reversed(changes))),
        log_lines=stored["log_lines"],
        parents=tuple(_link(link) for link in await snapshot.fetch_all(_PARENTS, arguments)),
        parents_in_all=stored["parents"],
        children=tuple(_link(link) for link in await snapshot.fetch_all(_CHILDREN, arguments)),
        children_in_all=stored["children"],
        copies=tuple(map(job_id_of, stored["copies"])),
        batch=None if job.batch_id is None else await read_batch(snapshot, job.batch_id),
        stack=None if stack is None else JobStack(**stack),
    )


async def read_batch(snapshot: Snapshot, batch_id: int) -> BatchStatus | None:
    """See `JobReader.batch`."""
    found = await read_batches(snapshot, before=batch_id + 1, limit=1) if 0 < batch_id < MAX_BIGINT else ()
    return found[0] if found and found[0].batch_id == batch_id else None


async def read_batches(snapshot: Snapshot, *, before: int | None = None, limit: int = 50) -> tuple[BatchStatus, ...]:
    """See `JobReader.batches`."""
    rows = await snapshot.fetch_all(_BATCHES, {"before": MAX_BIGINT if before is None else before, "limit": limit})
    states: dict[int, dict[JobState, int]] = defaultdict(dict)
    for found in await snapshot.fetch_all(_BATCH_STATES, {"batch_ids": [row["batch_id"] for row in rows]}):
        states[found["batch_id"]][JobState(found["state"])] = found["jobs"]
    return tuple(BatchStatus(**row, states=states[row["batch_id"]]) for row in rows)


async def read_tags(snapshot: Snapshot, *, limit: int = 50) -> dict[str, int]:
    """See `JobReader.tags`."""
    rows = await snapshot.fetch_all(_TAGS, {"limit": limit, "latest": _LATEST_TAGS})
    return {row["tag"]: row["jobs"] for row in rows}


async def read_logs(
    snapshot: Snapshot, job_id: BackgroundJobId, *, after: int = 0, limit: int = 500
) -> tuple[JobLogLine, ...]:
    """See `JobReader.logs`."""
    if not (1 <= limit <= MOST_LINES and 0 <= after <= MOST_LINES):
        raise InvalidJobQuery(f"there are at most {MOST_LINES:,} lines")
    arguments = {"job_id": number_of(job_id), "after": after, "limit": limit}
    return tuple(JobLogLine(**row) for row in await snapshot.fetch_all(_LOGS, arguments))


def timeline(job: JobSummary, runs: Iterable[JobRun], changes: Iterable[JobChange]) -> Iterable[TimelineEntry]:
    """What happened to a job, in the order in which it did.

    Parameters
    ----------
    runs
        The stored ones, in their order: those that ended in anything but success.
    changes
        In their order.
    """
    yield TimelineEntry(job.created_at)
    # A run is placed at its end, after events during the run. The current run is last.
    ended = [TimelineEntry(run.started_at or run.ended_at or job.created_at, run=run) for run in runs]
    last = _unrecorded_run(job)
    if last is not None:
        ended.append(TimelineEntry(last.started_at or job.created_at, run=last))
    changed = [TimelineEntry(change.at, change=change) for change in changes]
    yield from heapq.merge(ended, changed, key=_when)


def _when(entry: TimelineEntry) -> tuple[bool, float]:
    run = entry.run
    if run is not None and run.ended_at is None:
        return True, 0.0
    return False, (entry.at if run is None or run.ended_at is None else run.ended_at).timestamp()


def _unrecorded_run(job: JobSummary) -> JobRun | None:
    """The run that only the job's row shows: the present one, or the successful one."""
    if job.state is JobState.PROCESSING:
        return JobRun(
            run=job.runs + 1, outcome=RunOutcome.RUNNING, server=job.server, started_at=job.started_at, ended_at=None
        )
    if job.state is JobState.SUCCEEDED:
        return JobRun(
            run=job.runs,
            outcome=RunOutcome.SUCCEEDED,
            server=job.server,
            started_at=job.started_at,
            ended_at=job.finished_at,
        )
    return None


def _run(row: Mapping[str, Any]) -> JobRun:
    return JobRun(**{**row, "outcome": RunOutcome(row["outcome"])})


def _change(row: Mapping[str, Any]) -> JobChange:
    return JobChange(**{**row, "state": JobState(row["state"])})


def _link(row: Mapping[str, Any]) -> JobLink:
    job_id, state = row["job_id"], row["state"]
    known = {"job_id": job_id and job_id_of(job_id), "state": state and JobState(state)}
    return JobLink(**{**row, **known})
