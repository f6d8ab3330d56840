-- Jobs whose time has come.

-- Releases at most so many scheduled and retrying jobs that are due. Several servers may do so at once. Returns how
-- many were released, and the seconds until the next one is due (0: one is already; NULL: none waits for a time).
CREATE FUNCTION background_release_due_v1(most integer)
RETURNS TABLE (released integer, next_seconds double precision)
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
    begun_at timestamptz := clock_timestamp();
    due_ids bigint[];
BEGIN
    -- Procrastinate's rows are locked first, as everywhere; one that another server has locked is that server's.
    SELECT array_agg(locked.id) INTO due_ids FROM (
        SELECT queued.id FROM background_jobs due JOIN procrastinate_jobs queued ON queued.id = due.job_id
        WHERE due.state IN ('scheduled', 'retrying') AND due.due_at <= begun_at AND queued.status = 'failed'
        ORDER BY due.due_at LIMIT most
        FOR UPDATE OF queued SKIP LOCKED
    ) AS locked;
    due_ids := ARRAY(
        SELECT job_id FROM background_jobs
        WHERE job_id = ANY(due_ids) AND state IN ('scheduled', 'retrying') AND due_at <= begun_at
        ORDER BY job_id FOR UPDATE);
    released := cardinality(due_ids);
    PERFORM background_release_v1(due_ids);
    next_seconds := (
        SELECT GREATEST(extract(epoch FROM due_at - clock_timestamp()), 0)
        FROM background_jobs WHERE state IN ('scheduled', 'retrying') ORDER BY due_at LIMIT 1);
    RETURN NEXT;
END;
$$;
