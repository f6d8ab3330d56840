-- Pruning: finished jobs go, with all that is kept of them, once they are old enough.

-- Removes at most `most` jobs that have been in the final state `ended_as` for longer than `age`, oldest first, and tells
-- how many. Kept are jobs of a batch that has not ended, and those that a continuation still waits for; jobs that
-- somebody else is just working on are left for the next time. No row: another session prunes.
CREATE FUNCTION background_prune_v1(ended_as background_job_state, age interval, most integer)
    RETURNS TABLE (pruned bigint)
    LANGUAGE plpgsql SET enable_seqscan = off SET jit = off
AS $$
DECLARE
    chosen bigint[];
BEGIN
    IF ended_as NOT IN ('succeeded', 'failed', 'cancelled') THEN
        RAISE 'jobs in state % are not pruned', ended_as;
    END IF;
    IF NOT pg_try_advisory_xact_lock(hashtextextended('background_prune_v1', 0)) THEN
        RETURN;
    END IF;
    chosen := ARRAY(
        SELECT job.job_id FROM background_jobs job
        WHERE job.state = ended_as AND job.finished_at < now() - age
          AND NOT EXISTS (
              SELECT FROM background_batches batch WHERE batch.batch_id = job.batch_id AND batch.finished_at IS NULL)
          AND (NOT job.has_children OR NOT EXISTS (
              SELECT FROM background_continuations waits JOIN background_jobs child ON child.job_id = waits.child_id
              WHERE waits.parent_id = job.job_id AND child.state = 'awaiting'))
        ORDER BY job.finished_at
        LIMIT most
    );
    -- In the order in which everybody locks: Procrastinate's row first. One that cannot be had leaves the job alone.
    IF ended_as <> 'succeeded' THEN
        WITH parked AS MATERIALIZED (
            SELECT id FROM procrastinate_jobs WHERE id = ANY (chosen) FOR UPDATE SKIP LOCKED
        )
        SELECT ARRAY(
            SELECT job_id FROM unnest(chosen) AS job_id
            WHERE job_id IN (SELECT id FROM parked)
               OR NOT EXISTS (SELECT FROM procrastinate_jobs WHERE id = job_id)
        ) INTO chosen;
    END IF;
    -- Once more, under the lock: it may have been requeued since.
    chosen := ARRAY(
        SELECT job.job_id FROM background_jobs job
        WHERE job.job_id = ANY (chosen) AND job.state = ended_as AND job.finished_at < now() - age
        FOR UPDATE SKIP LOCKED
    );
    -- Procrastinate deletes only what is in its queue; nobody sees the job there, for it is gone in this transaction.
    PERFORM procrastinate_retry_job_v2(id, clock_timestamp(), NULL, NULL, NULL)
    FROM procrastinate_jobs WHERE id = ANY (chosen) AND status = 'failed';
    PERFORM procrastinate_finish_job_v1(id, 'failed', true)
    FROM procrastinate_jobs WHERE id = ANY (chosen) AND status = 'todo';
    DELETE FROM background_runs WHERE job_id = ANY (chosen);
    DELETE FROM background_history WHERE job_id = ANY (chosen);
    DELETE FROM background_progress WHERE job_id = ANY (chosen);
    DELETE FROM background_logs WHERE job_id = ANY (chosen);
    DELETE FROM background_continuations WHERE child_id = ANY (chosen);
    DELETE FROM background_continuations WHERE parent_id = ANY (chosen);
    RETURN QUERY
    WITH gone AS (
        DELETE FROM background_jobs WHERE job_id = ANY (chosen) RETURNING task, queue
    ), counted AS (
        INSERT INTO background_deltas (at, task, queue, left_state, jobs)
        SELECT clock_timestamp(), task, queue, ended_as, count(*) FROM gone GROUP BY task, queue
    )
    SELECT count(*) FROM gone;
END;
$$;

-- Removes at most `most` batches that ended longer than `age` ago and have no jobs any more.
CREATE FUNCTION background_prune_batches_v1(age interval, most integer) RETURNS bigint
    LANGUAGE sql SET enable_seqscan = off SET jit = off
AS $$
    WITH gone AS (
        DELETE FROM background_batches
        WHERE batch_id IN (
            SELECT batch.batch_id FROM background_batches batch
            WHERE batch.finished_at < now() - age
              AND NOT EXISTS (SELECT FROM background_jobs job WHERE job.batch_id = batch.batch_id)
              AND NOT EXISTS (
                  SELECT FROM background_continuations waits JOIN background_jobs child ON child.job_id = waits.child_id
                  WHERE waits.batch_id = batch.batch_id AND child.state = 'awaiting')
            LIMIT most
            FOR UPDATE SKIP LOCKED
        )
        RETURNING batch_id
    ), waits AS (
        DELETE FROM background_continuations WHERE batch_id IN (SELECT batch_id FROM gone)
    ), shares AS (
        DELETE FROM background_batch_shares WHERE batch_id IN (SELECT batch_id FROM gone)
    )
    SELECT count(*) FROM gone
$$;

-- Seals at most `most` batches that nobody has sealed, and put no job into for longer than `age`: whoever made them has
-- died. They end with the last of their jobs, and have failed, as nobody knows what is missing. Returns their number.
CREATE FUNCTION background_abandon_batches_v1(age interval, most integer) RETURNS bigint
    LANGUAGE plpgsql SET enable_seqscan = off SET jit = off
AS $$
DECLARE
    before timestamptz := clock_timestamp() - age;
    chosen bigint[];
BEGIN
    chosen := ARRAY(
        SELECT batch_id FROM background_batches batch
        WHERE finished_at IS NULL AND NOT sealed AND created_at < before
          AND NOT EXISTS (SELECT FROM background_jobs job WHERE job.batch_id = batch.batch_id AND job.created_at >= before)
        ORDER BY batch_id LIMIT most FOR NO KEY UPDATE SKIP LOCKED
    );
    -- Once more, to see a job that was put in until the lock was had.
    UPDATE background_batches batch SET sealed = true, abandoned = true
    WHERE batch.batch_id = ANY (chosen)
      AND NOT EXISTS (SELECT FROM background_jobs job WHERE job.batch_id = batch.batch_id AND job.created_at >= before);
    chosen := ARRAY(SELECT batch_id FROM background_batches WHERE batch_id = ANY (chosen) AND abandoned);
    PERFORM background_settle_v1('{}', '{}', ended_batches => background_end_batches_v1(chosen));
    RETURN cardinality(chosen);
END;
$$;
