"""Stores the output of runs, as long as the run is this worker's."""

import asyncio
import time
from typing import Any, Final, LiteralString

import psycopg
from psycopg.types.json import Jsonb

from bulkport.jobs.postgres.connection import WorkerConnection
from bulkport.jobs.run_output import PendingOutput, RunOutput, StoredOutput
from bulkport.logs import get_logger

_log = get_logger(__name__)

_LOCKED_WAIT: Final = 0.1

_READ: Final[LiteralString] = """
SELECT (SELECT checkpoint FROM bulkport.job_progress WHERE job_id = %(job_id)s) AS checkpoint,
       COALESCE((SELECT max(line) FROM bulkport.job_logs WHERE job_id = %(job_id)s), 0) AS lines
"""

# The run's row is locked, so that a run that is being put back cannot write its output after that. A
# statement sent twice writes the same: lines have their numbers from the run. 'locked': somebody else has the row.
_WRITE: Final[LiteralString] = """
WITH run AS MATERIALIZED (
    SELECT job_id, runs FROM bulkport.jobs
    WHERE job_id = %(job_id)s AND state = 'processing' AND worker_id = %(worker_id)s AND runs = %(runs)s
    FOR KEY SHARE SKIP LOCKED
), lines AS (
    INSERT INTO bulkport.job_logs (job_id, line, run, at, level, message)
    SELECT run.job_id, noted.line, run.runs + 1, clock_timestamp() - make_interval(secs => noted.age),
           noted.level, noted.message
    FROM run CROSS JOIN unnest(%(lines)s::integer[], %(ages)s::float8[], %(levels)s::text[], %(messages)s::text[])
        AS noted (line, age, level, message)
    ON CONFLICT DO NOTHING
), progress AS (
    INSERT INTO bulkport.job_progress AS stored (job_id, done, total, message, checkpoint)
    SELECT job_id, %(done)s::bigint, %(total)s::bigint, %(message)s::text, %(checkpoint)s::jsonb
    FROM run WHERE %(has_progress)s OR %(has_checkpoint)s
    ON CONFLICT (job_id) DO UPDATE SET
        done = CASE WHEN %(has_progress)s THEN EXCLUDED.done ELSE stored.done END,
        total = CASE WHEN %(has_progress)s THEN EXCLUDED.total ELSE stored.total END,
        message = CASE WHEN %(has_progress)s THEN EXCLUDED.message ELSE stored.message END,
        checkpoint = CASE WHEN %(has_checkpoint)s THEN EXCLUDED.checkpoint ELSE stored.checkpoint END,
        updated_at = clock_timestamp()
)
SELECT CASE WHEN EXISTS (SELECT FROM run) THEN 'written'
            WHEN EXISTS (SELECT FROM bulkport.jobs
                         WHERE job_id = %(job_id)s AND state = 'processing' AND worker_id = %(worker_id)s
                           AND runs = %(runs)s) THEN 'locked' END AS done
"""


class RunOutputStore:
    """Stores the output of one worker's runs.

    Parameters
    ----------
    connection
        Where to write; not the one that outcomes are written on.
    """

    def __init__(self, connection: WorkerConnection) -> None:
        self._connection = connection
        self.worker_id = 0

    async def output_of(self, job_id: int, runs: int) -> RunOutput:
        """The output of a run that begins; `runs` ended before it.

        Raises
        ------
        psycopg.Error
            The output of earlier runs cannot be read.
        """
        fence = {"job_id": job_id, "worker_id": self.worker_id, "runs": runs}
        stored = None
        if runs > 0:
            row = (await self._connection.fetch_all(_READ, fence))[0]
            stored = StoredOutput(row["checkpoint"], row["lines"])

        async def write(pending: PendingOutput) -> None:
            try:
                await self._write(fence | _arguments(pending))
            except psycopg.Error as error:
                _log.warning("job output not stored", job_id=job_id, error=str(error).strip())

        return RunOutput(write, stored)

    async def _write(self, arguments: dict[str, Any]) -> None:
        while True:
            done = (await self._connection.fetch_all(_WRITE, arguments))[0]["done"]
            if done != "locked":
                break
            await asyncio.sleep(_LOCKED_WAIT)
        if done is None:
            _log.info("output not stored: the job is no longer this worker's", job_id=arguments["job_id"])


def _arguments(pending: PendingOutput) -> dict[str, Any]:
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
