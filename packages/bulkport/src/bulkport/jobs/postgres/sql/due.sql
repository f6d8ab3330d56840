-- What workers do beside running jobs, every second or when it is time.

-- Releases at most so many scheduled and retrying jobs that are due. Several servers may do so at once. Returns how
-- many were released, and the seconds until the next one is due (0: one is already; NULL: none waits for a time).
CREATE FUNCTION bulkport.release_due(most integer)
RETURNS TABLE (released integer, next_seconds double precision)
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    moment timestamptz := clock_timestamp();
    due_ids bigint[];
    reserved bigint[];
BEGIN
    due_ids := ARRAY(
        SELECT job_id FROM bulkport.jobs WHERE state = 'scheduled' AND due_at <= moment
        ORDER BY due_at LIMIT most FOR UPDATE SKIP LOCKED)
        || ARRAY(
        SELECT job_id FROM bulkport.jobs WHERE state = 'retrying' AND due_at <= moment
        ORDER BY due_at LIMIT most FOR UPDATE SKIP LOCKED);
    released := cardinality(due_ids);
    IF released > 0 THEN
        -- That a job waited for its rate limit is not worth a line in its history.
        reserved := ARRAY(SELECT job_id FROM bulkport.jobs WHERE job_id = ANY (due_ids) AND rate_reserved);
        PERFORM bulkport.make_ready(reserved, NULL, NULL);
        PERFORM bulkport.make_ready(bulkport.array_without(due_ids, reserved), 'its time came', NULL);
    END IF;
    next_seconds := (
        SELECT CASE WHEN count(*) > 0 THEN
                   GREATEST(extract(epoch FROM min(first.due_at) - clock_timestamp()), 0) END
        FROM ((SELECT due_at FROM bulkport.jobs WHERE state = 'scheduled' ORDER BY due_at LIMIT 1)
              UNION ALL
              (SELECT due_at FROM bulkport.jobs WHERE state = 'retrying' ORDER BY due_at LIMIT 1)) AS first);
    RETURN NEXT;
END;
$$;

-- Goes after what was left undone because a row was locked, or because a server died in between: children that have
-- not heard of their parents' ends, sealed batches without jobs, parked jobs whose keys have free slots, retries that a fast clock put far ahead. One server at
-- a time.
CREATE FUNCTION bulkport.settle_left()
RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    children bigint[];
    keys text[];
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('bulkport.settle_left'), 0) THEN
        RETURN;
    END IF;
    children := ARRAY(
        SELECT DISTINCT child_id FROM bulkport.job_continuations WHERE outcome IS NOT NULL AND NOT settled LIMIT 1000);
    IF cardinality(children) > 0 THEN
        PERFORM bulkport.settle(children);
        -- A child that was cancelled, or made to run, hears of nothing any more.
        UPDATE bulkport.job_continuations link SET settled = true
        WHERE link.child_id = ANY (children) AND link.outcome IS NOT NULL AND NOT link.settled
          AND NOT EXISTS (SELECT FROM bulkport.jobs child WHERE child.job_id = link.child_id AND child.state = 'awaiting');
    END IF;
    PERFORM bulkport.settle_batches(ARRAY(
        SELECT batch_id FROM bulkport.job_batches batch
        WHERE finished_at IS NULL AND sealed
          AND NOT EXISTS (SELECT FROM bulkport.jobs job WHERE job.batch_id = batch.batch_id)
        LIMIT 1000));
    keys := ARRAY(
        WITH RECURSIVE key AS (
            (SELECT concurrency_key FROM bulkport.jobs WHERE parked ORDER BY concurrency_key LIMIT 1)
            UNION ALL
            SELECT (SELECT job.concurrency_key FROM bulkport.jobs job
                    WHERE job.parked AND job.concurrency_key > key.concurrency_key ORDER BY job.concurrency_key LIMIT 1)
            FROM key WHERE key.concurrency_key IS NOT NULL
        )
        SELECT concurrency_key FROM key WHERE concurrency_key IS NOT NULL AND bulkport.free_slots(concurrency_key) > 0);
    IF cardinality(keys) > 0 THEN
        PERFORM bulkport.unpark(keys);
    END IF;
    -- Attempts that failed while the clock ran fast: their next ones would wait until that time.
    UPDATE bulkport.jobs SET due_at = clock_timestamp() WHERE job_id IN (
        SELECT job_id FROM bulkport.jobs
        WHERE job_id = ANY (ARRAY(SELECT job_id FROM bulkport.jobs WHERE state = 'retrying' ORDER BY due_at DESC LIMIT 100))
          AND started_at > clock_timestamp() + interval '1 minute' AND due_at > clock_timestamp()
        FOR UPDATE SKIP LOCKED);
    DELETE FROM bulkport.unique_keys WHERE unique_key IN (
        SELECT unique_key FROM bulkport.unique_keys WHERE expires_at < clock_timestamp() LIMIT 1000 FOR UPDATE SKIP LOCKED);
    DELETE FROM bulkport.rate_limits WHERE rate_key IN (
        SELECT rate_key FROM bulkport.rate_limits WHERE full_at < clock_timestamp() LIMIT 1000 FOR UPDATE SKIP LOCKED);
END;
$$;
