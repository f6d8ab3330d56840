"""A clock that tests move: what waits for its time waits for less."""

from typing import Final

ADVANCE: Final = """
    WITH jobs AS (
        UPDATE bulkport.jobs SET due_at = due_at - %(by)s WHERE state IN ('scheduled', 'retrying')
    ), keys AS (
        UPDATE bulkport.unique_keys SET taken_at = taken_at - %(by)s, expires_at = expires_at - %(by)s
    ), rates AS (
        UPDATE bulkport.rate_limits SET taken_at = taken_at - %(by)s, full_at = full_at - %(by)s
    )
    UPDATE bulkport.bulk_import_jobs SET start_at = start_at - %(by)s
    WHERE start_at IS NOT NULL AND completed_at IS NULL
"""
"""Every time that is waited for comes `by` (an interval) sooner."""

RUNNABLE: Final = """
    SELECT EXISTS (
        SELECT FROM bulkport.jobs job
        WHERE (state IN ('enqueued', 'processing')
               OR (state IN ('scheduled', 'retrying') AND due_at <= clock_timestamp()))
          AND (state = 'processing'
               OR ((task = ANY (%(tasks)s) OR starts_with(task, 'bulkport.'))
                   AND NOT EXISTS (SELECT FROM bulkport.queues WHERE name = job.queue AND paused_at IS NOT NULL)))
    )
"""
"""Whether a job runs, or may run now in a process that knows these tasks."""

NEXT_DUE: Final = """
    SELECT min(due_at) - clock_timestamp() FROM bulkport.jobs WHERE state IN ('scheduled', 'retrying')
"""
"""How long until the next job is due; NULL: none waits for its time."""

SINCE: Final = "SELECT clock_timestamp()"
