-- What operators and callers do to jobs.
--
-- Each function takes any ids, does what it can under the locks of their rows, and tells for every id what came of it;
-- asked twice it does nothing the second time. `why` and `who` are kept in the jobs' history.

-- Locks jobs, and tells how each stands: 'unknown', 'waiting' in its queue, 'running', 'stopping' (it runs and has been
-- asked to stop), or its state. (Whatever else is to be known of them is read here as well: the statement that calls
-- this function does not see what happened while it waited for the locks.)
CREATE FUNCTION background_hold_v1(ids bigint[])
RETURNS TABLE (job_id bigint, stands text, unique_key text, is_in_procrastinate boolean)
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM procrastinate_jobs queued WHERE queued.id = ANY(ids) ORDER BY queued.id FOR UPDATE;
    PERFORM FROM background_jobs job WHERE job.job_id = ANY(ids) ORDER BY job.job_id FOR UPDATE;
    RETURN QUERY
        SELECT asked.id,
               CASE WHEN job.job_id IS NULL THEN 'unknown'
                    WHEN job.state <> 'enqueued' THEN job.state::text
                    WHEN queued.status <> 'doing' THEN 'waiting'
                    WHEN queued.abort_requested THEN 'stopping'
                    ELSE 'running' END,
               job.unique_key, queued.id IS NOT NULL
        FROM (SELECT DISTINCT unnest(ids) AS id) AS asked
        LEFT JOIN background_jobs job ON job.job_id = asked.id
        LEFT JOIN procrastinate_jobs queued ON queued.id = asked.id
        ORDER BY asked.id;
END;
$$;

-- Locks those that wait for the jobs, directly or not, together with them: a cancellation goes through all of these, and
-- locking them as it comes to them would be another order of locks than that of orders that name them.
CREATE FUNCTION background_hold_family_v1(ids bigint[])
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM background_hold_v1(ARRAY(
        WITH RECURSIVE family AS (
            SELECT unnest(ids) AS id
            UNION
            SELECT link.child_id FROM family JOIN background_continuations link ON link.parent_id = family.id
            WHERE NOT link.settled
        )
        SELECT id FROM family
    ));
END;
$$;

-- Takes jobs that wait out of Procrastinate's queue, if they are in it. Returns the keys of the slots they held.
CREATE FUNCTION background_withdraw_v1(ids bigint[])
RETURNS text[]
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM procrastinate_finish_job_v1(id, 'failed', false)
    FROM procrastinate_jobs WHERE id = ANY(ids) AND status = 'todo';
    RETURN ARRAY(
        SELECT concurrency_key FROM background_jobs
        WHERE job_id = ANY(ids) AND concurrency_key IS NOT NULL AND state = 'enqueued' AND NOT parked
    );
END;
$$;

-- Ends waiting jobs and asks running ones to stop. The caller has locked them.
CREATE FUNCTION background_stop_v1(waiting bigint[], running bigint[], held bigint[], why text, who text)
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    freed text[] := background_withdraw_v1(waiting);
BEGIN
    PERFORM background_move_v1(waiting, 'cancelled', COALESCE(why, 'cancelled while it waited'), who);
    UPDATE background_continuations SET settled = true WHERE child_id = ANY(waiting) AND NOT settled;
    PERFORM procrastinate_cancel_job_v1(id, true, false) FROM unnest(running) AS id;
    INSERT INTO background_history (job_id, state, reason, actor)
    SELECT id, 'enqueued', COALESCE('asked to stop: ' || why, 'asked to stop'), who FROM unnest(running) AS id;
    PERFORM background_settle_v1(waiting, freed, held);
END;
$$;

-- Cancels jobs: 'cancelled', 'asked to stop', 'already asked to stop', 'already ended' or 'unknown'.
CREATE FUNCTION background_cancel_v1(job_ids bigint[], why text, who text)
RETURNS TABLE (job_id bigint, what text)
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    target record;
    waiting bigint[] := '{}';
    running bigint[] := '{}';
BEGIN
    PERFORM background_hold_family_v1(job_ids);
    FOR target IN SELECT * FROM background_hold_v1(job_ids) LOOP
        job_id := target.job_id;
        IF target.stands IN ('waiting', 'scheduled', 'retrying', 'awaiting') THEN
            waiting := waiting || job_id;
            what := 'cancelled';
        ELSIF target.stands = 'running' THEN
            running := running || job_id;
            what := 'asked to stop';
        ELSE
            what := CASE target.stands WHEN 'stopping' THEN 'already asked to stop' WHEN 'unknown' THEN 'unknown'
                                       ELSE 'already ended' END;
        END IF;
        RETURN NEXT;
    END LOOP;
    PERFORM background_stop_v1(waiting, running, job_ids, why, who);
END;
$$;

-- Takes jobs away, those that have ended too: 'deleted', 'asked to stop', 'already asked to stop', 'already deleted'
-- or 'unknown'. They are 'cancelled' then, until retention removes them.
CREATE FUNCTION background_delete_v1(job_ids bigint[], why text, who text)
RETURNS TABLE (job_id bigint, what text)
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    target record;
    waiting bigint[] := '{}';
    running bigint[] := '{}';
    ended bigint[] := '{}';
BEGIN
    PERFORM background_hold_family_v1(job_ids);
    FOR target IN SELECT * FROM background_hold_v1(job_ids) LOOP
        job_id := target.job_id;
        what := 'deleted';
        IF target.stands IN ('waiting', 'scheduled', 'retrying', 'awaiting') THEN
            waiting := waiting || job_id;
        ELSIF target.stands IN ('succeeded', 'failed') THEN
            ended := ended || job_id;
        ELSIF target.stands = 'running' THEN
            running := running || job_id;
            what := 'asked to stop';
        ELSE
            what := CASE target.stands WHEN 'stopping' THEN 'already asked to stop' WHEN 'unknown' THEN 'unknown'
                                       ELSE 'already deleted' END;
        END IF;
        RETURN NEXT;
    END LOOP;
    -- As long as a job is 'succeeded', its row tells of the successful run; from now on nothing else would.
    INSERT INTO background_runs (job_id, run, outcome, server, started_at, ended_at)
    SELECT job.job_id, job.runs, 'succeeded', job.server, job.started_at, job.finished_at
    FROM background_jobs job WHERE job.job_id = ANY(ended) AND job.state = 'succeeded';
    PERFORM background_move_v1(ended, 'cancelled', COALESCE(why, 'deleted'), who);
    PERFORM background_stop_v1(waiting, running, job_ids, COALESCE(why, 'deleted'), who);
END;
$$;

-- Lets jobs that ended unsuccessfully start anew. The caller has locked them. Returns the keys to be filled.
CREATE FUNCTION background_revive_v1(ids bigint[], why text, who text)
RETURNS text[]
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM background_rejoin_batches_v1(ids);
    UPDATE background_jobs SET failures = 0 WHERE job_id = ANY(ids) AND failures > 0;
    RETURN background_make_ready_v1(ids, COALESCE(why, 'requeued'), who);
END;
$$;

-- Queues a new job like one that Procrastinate no longer has, and returns its id.
CREATE FUNCTION background_repeat_v1(origin bigint, why text, who text)
RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    new_id bigint;
    origin_state background_job_state;
BEGIN
    SELECT made.job_id, job.state INTO new_id, origin_state FROM background_jobs job, background_enqueue_v1(jsonb_build_array(
        jsonb_strip_nulls(jsonb_build_object(
            'task', job.task, 'queue', job.queue, 'priority', job.priority, 'user_id', job.user_id,
            'concurrency_key', job.concurrency_key, 'concurrency_limit', job.concurrency_limit,
            'origin_id', job.job_id
        )) || jsonb_build_object('args', job.args)
    )) AS made WHERE job.job_id = origin;
    INSERT INTO background_history (job_id, state, reason, actor) VALUES
        (origin, origin_state, concat_ws(': ', 'queued again as job ' || new_id, why), who),
        (new_id, 'enqueued', concat_ws(': ', 'repeats job ' || origin, why), who);
    RETURN new_id;
END;
$$;

-- Runs jobs again that have ended: 'requeued'; 'repeated' by a new job, its id in new_job_id, if it had succeeded;
-- 'already waiting', 'already running', 'unique key taken' (another job waits under it) or 'unknown'.
CREATE FUNCTION background_requeue_v1(job_ids bigint[], why text, who text)
RETURNS TABLE (job_id bigint, what text, new_job_id bigint)
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    target record;
    revived bigint[] := '{}';
    repeated bigint[] := '{}';
    wanted text[] := '{}';
BEGIN
    FOR target IN SELECT * FROM background_hold_v1(job_ids) LOOP
        job_id := target.job_id;
        IF target.stands NOT IN ('succeeded', 'failed', 'cancelled') THEN
            what := CASE WHEN target.stands IN ('running', 'stopping') THEN 'already running'
                         WHEN target.stands = 'unknown' THEN 'unknown' ELSE 'already waiting' END;
        ELSIF NOT target.is_in_procrastinate THEN
            repeated := repeated || job_id;
            CONTINUE;
        ELSE
            what := 'requeued';
            IF target.unique_key IS NULL THEN
                revived := revived || job_id;
            ELSE
                BEGIN
                    wanted := wanted || background_revive_v1(ARRAY[job_id], why, who);
                EXCEPTION WHEN unique_violation THEN
                    what := 'unique key taken';
                END;
            END IF;
        END IF;
        RETURN NEXT;
    END LOOP;
    wanted := wanted || background_revive_v1(revived, why, who);
    wanted := wanted || background_parked_keys_v1(job_ids);
    -- The new jobs take slots too: all keys are locked before, to keep to the order.
    PERFORM FROM background_keys slots
    WHERE slots.concurrency_key = ANY(wanted) OR slots.concurrency_key IN (
        SELECT origin.concurrency_key FROM background_jobs origin WHERE origin.job_id = ANY(repeated)
    ) ORDER BY slots.concurrency_key FOR UPDATE;
    what := 'repeated';
    FOR target IN
        SELECT origin.job_id FROM background_jobs origin WHERE origin.job_id = ANY(repeated)
        ORDER BY origin.concurrency_key, origin.job_id
    LOOP
        job_id := target.job_id;
        new_job_id := background_repeat_v1(job_id, why, who);
        RETURN NEXT;
    END LOOP;
    PERFORM background_fill_keys_v1(wanted, '{}');
END;
$$;

-- Has jobs run now that wait for a time: 'released', 'already waiting', 'already running', 'already ended', 'waits for
-- other jobs' or 'unknown'.
CREATE FUNCTION background_run_now_v1(job_ids bigint[], why text, who text)
RETURNS TABLE (job_id bigint, what text)
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    target record;
    due bigint[] := '{}';
BEGIN
    FOR target IN SELECT * FROM background_hold_v1(job_ids) LOOP
        job_id := target.job_id;
        what := background_standing_v1(target.stands);
        IF target.stands IN ('scheduled', 'retrying') THEN
            due := due || job_id;
            what := 'released';
        END IF;
        RETURN NEXT;
    END LOOP;
    -- It is ready from now on, not from the time it was to wait for.
    UPDATE background_jobs job SET due_at = NULL WHERE job.job_id = ANY(due);
    PERFORM background_fill_keys_v1(
        background_make_ready_v1(due, COALESCE(why, 'to run now'), who) || background_parked_keys_v1(job_ids), '{}');
END;
$$;

-- Gives jobs that have not begun another time, `at` or `delay` seconds from now: 'rescheduled', 'already running',
-- 'already ended', 'waits for other jobs' or 'unknown'.
CREATE FUNCTION background_reschedule_v1(
    job_ids bigint[], at timestamptz, delay double precision, why text, who text
)
RETURNS TABLE (job_id bigint, what text)
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    target record;
    due timestamptz := COALESCE(at, clock_timestamp() + make_interval(secs => delay));
    retrying bigint[] := '{}';
    others bigint[] := '{}';
    freed text[];
BEGIN
    FOR target IN SELECT * FROM background_hold_v1(job_ids) LOOP
        job_id := target.job_id;
        what := background_standing_v1(target.stands);
        IF target.stands = 'retrying' THEN
            retrying := retrying || job_id;
            what := 'rescheduled';
        ELSIF target.stands IN ('waiting', 'scheduled') THEN
            others := others || job_id;
            what := 'rescheduled';
        END IF;
        RETURN NEXT;
    END LOOP;
    freed := background_withdraw_v1(others);
    PERFORM background_move_v1(retrying, 'retrying', COALESCE(why, 'rescheduled'), who);
    PERFORM background_move_v1(others, 'scheduled', COALESCE(why, 'rescheduled'), who);
    UPDATE background_jobs job SET due_at = due, ready_at = due WHERE job.job_id = ANY(retrying || others);
    IF cardinality(retrying || others) > 0 THEN
        PERFORM background_hurry_v1('due', extract(epoch FROM due - clock_timestamp())::double precision);
    END IF;
    PERFORM background_fill_keys_v1(background_parked_keys_v1(job_ids), freed);
END;
$$;

-- Gives jobs that have not begun another priority or queue (NULL: as it is): 'changed', 'already running', 'already
-- ended' or 'unknown'.
CREATE FUNCTION background_change_v1(
    job_ids bigint[], new_priority integer, new_queue text, why text, who text
)
RETURNS TABLE (job_id bigint, what text)
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    target record;
    moment timestamptz := clock_timestamp();
    changed bigint[] := '{}';
    queued bigint[];
BEGIN
    FOR target IN SELECT * FROM background_hold_v1(job_ids) LOOP
        job_id := target.job_id;
        IF target.stands IN ('waiting', 'scheduled', 'retrying', 'awaiting') THEN
            changed := changed || job_id;
            what := 'changed';
        ELSE
            what := background_standing_v1(target.stands);
        END IF;
        RETURN NEXT;
    END LOOP;
    changed := ARRAY(
        SELECT job.job_id FROM background_jobs job WHERE job.job_id = ANY(changed)
          AND (job.priority <> COALESCE(new_priority, job.priority) OR job.queue <> COALESCE(new_queue, job.queue))
    );
    queued := ARRAY(SELECT job.id FROM procrastinate_jobs job WHERE job.id = ANY(changed) AND job.status = 'todo');
    -- A move between queues is no new job: what is added in one is taken away in the other.
    INSERT INTO background_deltas (at, task, queue, entered_state, jobs)
    SELECT moment, job.task, side.queue, job.state, sum(side.jobs)
    FROM background_jobs job, LATERAL (VALUES (job.queue, -1), (new_queue, 1)) AS side (queue, jobs)
    WHERE job.job_id = ANY(changed) AND job.queue <> new_queue GROUP BY job.task, side.queue, job.state;
    INSERT INTO background_history (job_id, at, state, reason, actor)
    SELECT job.job_id, moment, job.state, concat_ws(', ',
               CASE WHEN job.priority <> new_priority THEN format('priority %s, was %s', new_priority, job.priority) END,
               CASE WHEN job.queue <> new_queue THEN format('queue %s, was %s', new_queue, job.queue) END, why), who
    FROM background_jobs job WHERE job.job_id = ANY(changed) ORDER BY job.job_id;
    UPDATE background_jobs job
    SET priority = COALESCE(new_priority, job.priority), queue = COALESCE(new_queue, job.queue)
    WHERE job.job_id = ANY(changed);
    IF new_queue IS NOT NULL AND cardinality(changed) > 0 THEN
        PERFORM background_register_queue_v1(new_queue);
    END IF;
    -- Those in Procrastinate's queue take their new place there; their slots stay theirs.
    PERFORM procrastinate_finish_job_v1(id, 'failed', false) FROM unnest(queued) AS id;
    PERFORM background_start_v1(queued);
    PERFORM background_fill_keys_v1(background_parked_keys_v1(job_ids), '{}');
END;
$$;

-- Why a job that stands so is left as it is.
CREATE FUNCTION background_standing_v1(stands text)
RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN stands = 'unknown' THEN 'unknown'
                WHEN stands IN ('running', 'stopping') THEN 'already running'
                WHEN stands IN ('succeeded', 'failed', 'cancelled') THEN 'already ended'
                WHEN stands = 'awaiting' THEN 'waits for other jobs'
                ELSE 'already waiting' END
$$;

-- Pauses a queue: its jobs are not claimed until it is resumed. Jobs that run go on.
CREATE FUNCTION background_pause_queue_v1(queue text, who text)
RETURNS void
LANGUAGE sql AS $$
    INSERT INTO background_queues AS known (name, paused_at, paused_by, changed_at, changed_by)
    VALUES (queue, clock_timestamp(), who, clock_timestamp(), who)
    ON CONFLICT (name) DO UPDATE SET
        paused_at = EXCLUDED.paused_at, paused_by = EXCLUDED.paused_by,
        changed_at = EXCLUDED.changed_at, changed_by = EXCLUDED.changed_by
    WHERE known.paused_at IS NULL
$$;

CREATE FUNCTION background_resume_queue_v1(queue text, who text DEFAULT NULL)
RETURNS void
LANGUAGE sql AS $$
    UPDATE background_queues SET paused_at = NULL, paused_by = NULL, changed_at = clock_timestamp(), changed_by = who
    WHERE name = queue AND paused_at IS NOT NULL;
    SELECT background_announce_v1(queue)
$$;

-- Bounds how many jobs of a queue run at one time, on all servers together; NULL: no bound.
CREATE FUNCTION background_limit_queue_v1(queue text, most integer, who text DEFAULT NULL)
RETURNS void
LANGUAGE sql AS $$
    INSERT INTO background_queues AS known (name, concurrency_limit, changed_at, changed_by)
    VALUES (queue, most, clock_timestamp(), who)
    ON CONFLICT (name) DO UPDATE SET
        concurrency_limit = EXCLUDED.concurrency_limit,
        changed_at = EXCLUDED.changed_at, changed_by = EXCLUDED.changed_by
    WHERE known.concurrency_limit IS DISTINCT FROM EXCLUDED.concurrency_limit;
    SELECT background_announce_v1(queue)
$$;
