"""Where the notes of runs are kept: written only while the run is this worker's."""

import time
from typing import Any, Final, LiteralString

import psycopg
from psycopg.types.json import Jsonb

from bulkport.jobs.procrastinate_engine.link import DatabaseLink
from bulkport.jobs.run_output import KeptNotes, PendingNotes, RunNotes
from bulkport.logs import get_logger

_log = get_logger(__name__)

_READ: Final[LiteralString] = """
SELECT (SELECT checkpoint FROM background_progress WHERE job_id = %(job_id)s) AS checkpoint,
       COALESCE((SELECT max(line) FROM background_logs WHERE job_id = %(job_id)s), 0) AS lines
"""

# The run's row is locked, so that a run that is being put back cannot write after that what it noted before. A
# statement sent twice writes the same: lines have their numbers from the run.
_WRITE: Final[LiteralString] = """
WITH run AS MATERIALIZED (
    SELECT id FROM procrastinate_jobs
    WHERE id = %(job_id)s AND status = 'doing' AND worker_id = %(worker_id)s AND attempts = %(attempts)s
    FOR SHARE
), lines AS (
    INSERT INTO background_logs (job_id, line, run, at, level, message)
    SELECT run.id, noted.line, job.runs + 1, clock_timestamp() - make_interval(secs => noted.age),
           noted.level, noted.message
    FROM run JOIN background_jobs job ON job.job_id = run.id
    CROSS JOIN unnest(%(lines)s::integer[], %(ages)s::float8[], %(levels)s::text[], %(messages)s::text[])
        AS noted (line, age, level, message)
    ON CONFLICT DO NOTHING
), progress AS (
    INSERT INTO background_progress AS kept (job_id, done, total, message, checkpoint)
    SELECT id, %(done)s::bigint, %(total)s::bigint, %(message)s::text, %(checkpoint)s::jsonb
    FROM run WHERE %(has_progress)s OR %(has_checkpoint)s
    ON CONFLICT (job_id) DO UPDATE SET
        done = CASE WHEN %(has_progress)s THEN EXCLUDED.done ELSE kept.done END,
        total = CASE WHEN %(has_progress)s THEN EXCLUDED.total ELSE kept.total END,
        message = CASE WHEN %(has_progress)s THEN EXCLUDED.message ELSE kept.message END,
        checkpoint = CASE WHEN %(has_checkpoint)s THEN EXCLUDED.checkpoint ELSE kept.checkpoint END,
        updated_at = clock_timestamp()
)
SELECT id FROM run
"""


async def notes_of_run(link: DatabaseLink, fence: dict[str, Any], *, may_have_kept: bool) -> RunNotes:
    """The notes of a run that begins.

    Parameters
    ----------
    fence
        What tells this run from any other: `job_id`, `worker_id` and `attempts`; see `queries.py`.
    may_have_kept
        Whether the job ran before; a first run saves the look at what was kept.

    Raises
    ------
    psycopg.Error
        What earlier runs have kept cannot be read.
    """
    kept = None
    if may_have_kept:
        row = (await link.fetch_all(_READ, fence))[0]
        kept = KeptNotes(row["checkpoint"], row["lines"])

    async def write(pending: PendingNotes) -> None:
        try:
            rows = await link.fetch_all(_WRITE, fence | _arguments(pending))
        except psycopg.Error as error:
            _log.warning("notes of a run not kept", job_id=fence["job_id"], error=str(error).strip())
        else:
            if not rows:
                _log.info("notes not kept: the job is no longer this worker's", job_id=fence["job_id"])

    return RunNotes(write, kept)


def _arguments(pending: PendingNotes) -> dict[str, Any]:
    now = time.monotonic()
    progress, lines = pending.progress, pending.lines
    return {
        "has_progress": progress is not None,
        "done": progress and progress.done,
        "total": progress and progress.total,
        "message": progress and progress.message,
        "has_checkpoint": pending.has_checkpoint,
        "checkpoint": Jsonb(pending.checkpoint) if pending.has_checkpoint else None,
        "lines": [line.line for line in lines],
        "ages": [now - line.monotonic for line in lines],
        "levels": [line.level for line in lines],
        "messages": [line.message for line in lines],
    }
