-- Pruning: finished jobs go, with all that is kept of them, once they are old enough.

-- Removes at most `most` jobs that have been in the final state `ended_as` for longer than `age`, oldest first, and returns
-- how many. Kept are jobs of a batch that has not ended, and those that a continuation still waits for; jobs that
-- somebody else is just working on are left for the next time. No row: another session prunes.
CREATE FUNCTION bulkport.prune(ended_as bulkport.job_state, age interval, most integer)
    RETURNS TABLE (pruned bigint)
    LANGUAGE plpgsql SET enable_seqscan = off SET jit = off
AS $$
DECLARE
    chosen bigint[];
BEGIN
    IF ended_as NOT IN ('succeeded', 'failed', 'cancelled') THEN
        RAISE 'jobs in state % are not pruned', ended_as;
    END IF;
    IF NOT pg_try_advisory_xact_lock(hashtextextended('bulkport.prune', 0)) THEN
        RETURN;
    END IF;
    chosen := ARRAY(
        SELECT job.job_id FROM bulkport.finished_jobs job
        WHERE job.state = ended_as AND job.finished_at < now() - age
          AND NOT EXISTS (
              SELECT FROM bulkport.job_batches batch WHERE batch.batch_id = job.batch_id AND batch.finished_at IS NULL)
          AND NOT EXISTS (
              SELECT FROM bulkport.job_continuations waits JOIN bulkport.jobs child ON child.job_id = waits.child_id
              WHERE waits.parent_id = job.job_id AND child.state = 'awaiting')
        ORDER BY job.finished_at
        LIMIT most
        FOR UPDATE OF job SKIP LOCKED
    );
    DELETE FROM bulkport.job_runs WHERE job_id = ANY (chosen);
    DELETE FROM bulkport.job_history WHERE job_id = ANY (chosen);
    DELETE FROM bulkport.job_progress WHERE job_id = ANY (chosen);
    DELETE FROM bulkport.job_logs WHERE job_id = ANY (chosen);
    DELETE FROM bulkport.job_tags WHERE job_id = ANY (chosen);
    DELETE FROM bulkport.job_continuations WHERE child_id = ANY (chosen);
    DELETE FROM bulkport.job_continuations WHERE parent_id = ANY (chosen);
    RETURN QUERY
    WITH gone AS (
        DELETE FROM bulkport.finished_jobs WHERE job_id = ANY (chosen) RETURNING task, queue
    ), counted AS (
        INSERT INTO bulkport.job_deltas (at, task, queue, left_state, jobs)
        SELECT clock_timestamp(), task, queue, ended_as, count(*) FROM gone GROUP BY task, queue
    )
    SELECT count(*) FROM gone;
END;
$$;

-- Removes at most `most` batches that ended longer than `age` ago and have no jobs any more.
CREATE FUNCTION bulkport.prune_batches(age interval, most integer) RETURNS bigint
    LANGUAGE sql SET enable_seqscan = off SET jit = off
AS $$
    WITH gone AS (
        DELETE FROM bulkport.job_batches
        WHERE batch_id IN (
            SELECT batch.batch_id FROM bulkport.job_batches batch
            WHERE batch.finished_at < now() - age
              AND NOT EXISTS (SELECT FROM bulkport.all_jobs job WHERE job.batch_id = batch.batch_id)
              AND NOT EXISTS (
                  SELECT FROM bulkport.job_continuations waits JOIN bulkport.jobs child ON child.job_id = waits.child_id
                  WHERE waits.batch_id = batch.batch_id AND child.state = 'awaiting')
            LIMIT most
            FOR UPDATE SKIP LOCKED
        )
        RETURNING batch_id
    ), waits AS (
        DELETE FROM bulkport.job_continuations WHERE batch_id IN (SELECT batch_id FROM gone)
    )
    SELECT count(*) FROM gone
$$;

-- Seals at most `most` batches that nobody has sealed, and put no job into for longer than `age`: whoever made them has
-- died. They end with the last of their jobs, and have failed, as nobody knows what is missing. Returns their number.
CREATE FUNCTION bulkport.abandon_batches(age interval, most integer) RETURNS bigint
    LANGUAGE plpgsql SET enable_seqscan = off SET jit = off
AS $$
DECLARE
    before timestamptz := clock_timestamp() - age;
    chosen bigint[];
BEGIN
    chosen := ARRAY(
        SELECT batch_id FROM bulkport.job_batches batch
        WHERE finished_at IS NULL AND NOT sealed AND created_at < before
          AND NOT EXISTS (SELECT FROM bulkport.all_jobs job WHERE job.batch_id = batch.batch_id AND job.created_at >= before)
        ORDER BY batch_id LIMIT most FOR UPDATE SKIP LOCKED
    );
    -- Once more, to see a job that was put in until the lock was had.
    UPDATE bulkport.job_batches batch SET sealed = true, abandoned = true
    WHERE batch.batch_id = ANY (chosen)
      AND NOT EXISTS (SELECT FROM bulkport.all_jobs job WHERE job.batch_id = batch.batch_id AND job.created_at >= before);
    chosen := ARRAY(SELECT batch_id FROM bulkport.job_batches WHERE batch_id = ANY (chosen) AND abandoned);
    PERFORM bulkport.settle_batches(chosen);
    RETURN cardinality(chosen);
END;
$$;
