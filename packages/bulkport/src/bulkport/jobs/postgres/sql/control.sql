-- What operators and callers do to jobs.
--
-- Each function takes any ids, does what it can under the locks of their rows, and returns for every id what came of it:
-- see `effect`. Asked twice it does nothing the second time. `why` and `who` are kept in the jobs' history.

-- A job whose row is locked: its state, and the outcome of a command to it.
CREATE TYPE bulkport.held_job AS (job_id bigint, stands text, what text);

-- Locks jobs for an order, 'cancel', 'delete', 'requeue', 'run now', 'reschedule' or 'change'. A job stands as 'unknown',
-- 'waiting' in its queue, 'running', 'stopping' (it runs and has been asked to stop), or as its state.
CREATE FUNCTION bulkport.hold(ids bigint[], asked text)
RETURNS bulkport.held_job[]
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM bulkport.jobs job WHERE job.job_id = ANY (ids) ORDER BY job.job_id FOR UPDATE;
    PERFORM FROM bulkport.finished_jobs job WHERE job.job_id = ANY (ids) ORDER BY job.job_id FOR UPDATE;
    -- Once more: one that had ended may have been requeued meanwhile.
    PERFORM FROM bulkport.jobs job WHERE job.job_id = ANY (ids) ORDER BY job.job_id FOR UPDATE;
    RETURN ARRAY(
        SELECT ROW(wanted.id, stand.stands, bulkport.effect(asked, stand.stands))::bulkport.held_job
        FROM (SELECT DISTINCT unnest(ids) AS id) AS wanted
        LEFT JOIN bulkport.jobs live ON live.job_id = wanted.id
        LEFT JOIN bulkport.finished_jobs ended ON ended.job_id = wanted.id
        CROSS JOIN LATERAL (
            SELECT COALESCE(CASE live.state WHEN 'enqueued' THEN 'waiting'
                                            WHEN 'processing' THEN CASE WHEN live.cancel_requested THEN 'stopping'
                                                                        ELSE 'running' END
                                            ELSE live.state::text END,
                            ended.state::text, 'unknown') AS stands
        ) AS stand
        ORDER BY wanted.id);
END;
$$;

-- The outcome of a command to a job in this state. The last ones say why it is left unchanged.
CREATE FUNCTION bulkport.effect(asked text, stands text)
RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN stands = 'unknown' THEN 'unknown'
        WHEN asked IN ('cancel', 'delete') AND stands = 'running' THEN 'asked to stop'
        WHEN asked IN ('cancel', 'delete') AND stands = 'stopping' THEN 'already asked to stop'
        WHEN asked = 'cancel' AND has_not_begun THEN 'cancelled'
        WHEN asked = 'delete' THEN CASE stands WHEN 'cancelled' THEN 'already deleted' ELSE 'deleted' END
        WHEN asked = 'requeue' AND has_ended THEN 'requeued'
        WHEN asked = 'run now' AND stands IN ('scheduled', 'retrying') THEN 'released'
        WHEN asked = 'reschedule' AND stands IN ('waiting', 'scheduled', 'retrying') THEN 'rescheduled'
        WHEN asked = 'change' AND has_not_begun THEN 'changed'
        WHEN stands IN ('running', 'stopping') THEN 'already running'
        WHEN has_ended THEN 'already ended'
        WHEN stands = 'awaiting' AND asked <> 'requeue' THEN 'waits for other jobs'
        ELSE 'already waiting' END
    FROM (SELECT stands IN ('waiting', 'scheduled', 'retrying', 'awaiting') AS has_not_begun,
                 stands IN ('succeeded', 'failed', 'cancelled') AS has_ended) AS job
$$;

-- The ids of the jobs with this outcome.
CREATE FUNCTION bulkport.those(held bulkport.held_job[], effect text)
RETURNS bigint[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY(SELECT job.job_id FROM unnest(held) AS job WHERE job.what = effect)
$$;

-- Ends waiting jobs and their dependents, and asks running ones to stop. The caller has locked them.
CREATE FUNCTION bulkport.stop_jobs(waiting bigint[], running bigint[], why text, who text)
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM bulkport.end_waiting(waiting, COALESCE(why, 'cancelled while it waited'), who);
    PERFORM bulkport.settle(bulkport.mark_ended(waiting));
    UPDATE bulkport.jobs SET cancel_requested = true WHERE job_id = ANY (running);
    INSERT INTO bulkport.job_history (job_id, state, reason, actor)
    SELECT id, 'processing', COALESCE('asked to stop: ' || why, 'asked to stop'), who FROM unnest(running) AS id;
    PERFORM bulkport.notify_workers('cancel', id::text) FROM unnest(running) AS id;
END;
$$;

-- Cancels jobs: waiting ones at once with their dependents; running ones are asked to stop.
CREATE FUNCTION bulkport.cancel(job_ids bigint[], why text, who text)
RETURNS TABLE (job_id bigint, what text)
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    held bulkport.held_job[] := bulkport.hold(job_ids, 'cancel');
BEGIN
    PERFORM bulkport.stop_jobs(bulkport.those(held, 'cancelled'), bulkport.those(held, 'asked to stop'), why, who);
    RETURN QUERY SELECT job.job_id, job.what FROM unnest(held) AS job;
END;
$$;

-- Takes jobs away, those that have ended too. They are 'cancelled' then, until retention removes them.
CREATE FUNCTION bulkport.delete_jobs(job_ids bigint[], why text, who text)
RETURNS TABLE (job_id bigint, what text)
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    moment timestamptz := clock_timestamp();
    held bulkport.held_job[] := bulkport.hold(job_ids, 'delete');
    ended bigint[] := ARRAY(SELECT job.job_id FROM unnest(held) AS job WHERE job.stands IN ('succeeded', 'failed'));
    waiting bigint[] := bulkport.array_without(bulkport.those(held, 'deleted'), ended);
BEGIN
    -- As long as a job is 'succeeded', its row shows the successful run; from now on nothing else would.
    INSERT INTO bulkport.job_runs (job_id, run, outcome, server, started_at, ended_at)
    SELECT job.job_id, job.runs, 'succeeded', job.server, job.started_at, job.finished_at
    FROM bulkport.finished_jobs job WHERE job.job_id = ANY (ended) AND job.state = 'succeeded';
    INSERT INTO bulkport.job_deltas (at, task, queue, left_state, entered_state, jobs)
    SELECT moment, job.task, job.queue, job.state, 'cancelled', count(*)
    FROM bulkport.finished_jobs job WHERE job.job_id = ANY (ended) GROUP BY job.task, job.queue, job.state;
    UPDATE bulkport.finished_jobs job SET state = 'cancelled' WHERE job.job_id = ANY (ended);
    INSERT INTO bulkport.job_history (job_id, at, state, reason, actor)
    SELECT id, moment, 'cancelled', COALESCE(why, 'deleted'), who FROM unnest(ended) AS id ORDER BY id;
    PERFORM bulkport.stop_jobs(waiting, bulkport.those(held, 'asked to stop'), COALESCE(why, 'deleted'), who);
    RETURN QUERY SELECT job.job_id, job.what FROM unnest(held) AS job;
END;
$$;

-- Moves jobs that have ended unsuccessfully back under their ids, with their failures forgotten. The caller has locked
-- them. Returns those that were moved: of the others another job waits under their unique key.
CREATE FUNCTION bulkport.revive(ids bigint[], why text, who text)
RETURNS bigint[]
LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz := clock_timestamp();
    moved bigint[];
BEGIN
    WITH back AS (
        INSERT INTO bulkport.jobs (
            job_id, task, queue, priority, state, args, user_id, created_at, ready_at, started_at, runs, server,
            error_type, error, unique_key, concurrency_key, concurrency_limit, rate_key, rate_limit, rate_seconds,
            batch_id, recurring_id, origin_id)
        SELECT job_id, task, queue, priority, 'enqueued', args, user_id, created_at, moment, started_at, runs, server,
               error_type, error, unique_key, concurrency_key, concurrency_limit, rate_key, rate_limit, rate_seconds,
               batch_id, recurring_id, origin_id
        FROM bulkport.finished_jobs WHERE job_id = ANY (ids) ORDER BY unique_key, job_id
        ON CONFLICT DO NOTHING
        RETURNING job_id
    )
    SELECT COALESCE(array_agg(job_id), '{}') INTO moved FROM back;
    WITH gone AS (
        DELETE FROM bulkport.finished_jobs WHERE job_id = ANY (moved) RETURNING task, queue, state
    )
    INSERT INTO bulkport.job_deltas (at, task, queue, left_state, entered_state, jobs)
    SELECT moment, task, queue, state, 'enqueued', count(*) FROM gone GROUP BY task, queue, state;
    PERFORM bulkport.make_ready(moved, COALESCE(why, 'requeued'), who);
    RETURN moved;
END;
$$;

-- Enqueues a new job like one that succeeded, and returns its id.
CREATE FUNCTION bulkport.repeat_job(origin bigint, why text, who text)
RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    new_id bigint;
    origin_state bulkport.job_state;
BEGIN
    SELECT made.job_id, job.state INTO new_id, origin_state
    FROM bulkport.finished_jobs job, bulkport.enqueue(json_build_array(json_build_object(
        'task', job.task, 'queue', job.queue, 'priority', job.priority, 'user_id', job.user_id, 'args', job.args,
        'concurrency_key', job.concurrency_key, 'concurrency_limit', job.concurrency_limit, 'rate_key', job.rate_key,
        'rate_limit', job.rate_limit, 'rate_seconds', job.rate_seconds, 'origin_id', job.job_id,
        'tags', (SELECT COALESCE(json_agg(tagged.tag), '[]') FROM bulkport.job_tags tagged WHERE tagged.job_id = origin)
    ))) AS made WHERE job.job_id = origin;
    INSERT INTO bulkport.job_history (job_id, state, reason, actor) VALUES
        (origin, origin_state, concat_ws(': ', 'queued again as job ' || new_id, why), who),
        (new_id, 'enqueued', concat_ws(': ', 'repeats job ' || origin, why), who);
    RETURN new_id;
END;
$$;

-- Runs jobs again that have ended: 'requeued'; 'repeated' by a new job, its id in new_job_id, if it had succeeded;
-- 'unique key taken' if another job waits under it.
CREATE FUNCTION bulkport.requeue(job_ids bigint[], why text, who text)
RETURNS TABLE (job_id bigint, what text, new_job_id bigint)
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    held bulkport.held_job[] := bulkport.hold(job_ids, 'requeue');
    ended bigint[] := bulkport.those(held, 'requeued');
    repeated bigint[];
    revived bigint[];
BEGIN
    -- Those that had succeeded before they were deleted, too.
    repeated := ARRAY(
        SELECT job.job_id FROM bulkport.finished_jobs job WHERE job.job_id = ANY (ended) AND (
            job.state = 'succeeded' OR EXISTS (
                SELECT FROM bulkport.job_runs run
                WHERE run.job_id = job.job_id AND run.run = job.runs AND run.outcome = 'succeeded'))
        ORDER BY job.job_id);
    ended := bulkport.array_without(ended, repeated);
    revived := bulkport.revive(ended, why, who);
    RETURN QUERY SELECT job.job_id, job.what, NULL::bigint FROM unnest(held) AS job WHERE job.what <> 'requeued';
    RETURN QUERY
        SELECT id, CASE WHEN id = ANY (revived) THEN 'requeued' ELSE 'unique key taken' END, NULL::bigint
        FROM unnest(ended) AS id;
    RETURN QUERY SELECT id, 'repeated', bulkport.repeat_job(id, why, who) FROM unnest(repeated) AS id;
END;
$$;

-- Has jobs run now that wait for a time.
CREATE FUNCTION bulkport.run_now(job_ids bigint[], why text, who text)
RETURNS TABLE (job_id bigint, what text)
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    held bulkport.held_job[] := bulkport.hold(job_ids, 'run now');
    due bigint[] := bulkport.those(held, 'released');
BEGIN
    -- It is ready from now on, not from the time it was to wait for.
    UPDATE bulkport.jobs job SET due_at = NULL WHERE job.job_id = ANY (due);
    PERFORM bulkport.make_ready(due, COALESCE(why, 'to run now'), who);
    RETURN QUERY SELECT job.job_id, job.what FROM unnest(held) AS job;
END;
$$;

-- Gives jobs that have not begun another time, `at` or `delay` seconds from now.
CREATE FUNCTION bulkport.reschedule(job_ids bigint[], at timestamptz, delay double precision, why text, who text)
RETURNS TABLE (job_id bigint, what text)
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    moment timestamptz := clock_timestamp();
    due timestamptz := COALESCE(at, moment + make_interval(secs => delay));
    held bulkport.held_job[] := bulkport.hold(job_ids, 'reschedule');
    chosen bigint[] := bulkport.those(held, 'rescheduled');
BEGIN
    RETURN QUERY SELECT job.job_id, job.what FROM unnest(held) AS job;
    IF cardinality(chosen) = 0 THEN
        RETURN;
    END IF;
    INSERT INTO bulkport.job_deltas (at, task, queue, left_state, entered_state, jobs)
    SELECT moment, job.task, job.queue, 'enqueued', 'scheduled', count(*) FROM bulkport.jobs job
    WHERE job.job_id = ANY (chosen) AND job.state = 'enqueued' GROUP BY job.task, job.queue;
    UPDATE bulkport.jobs job SET
        state = CASE job.state WHEN 'enqueued' THEN 'scheduled' ELSE job.state END, parked = false, due_at = due,
        ready_at = due
    WHERE job.job_id = ANY (chosen);
    INSERT INTO bulkport.job_history (job_id, at, state, reason, actor)
    SELECT job.job_id, moment, job.state, COALESCE(why, 'rescheduled'), who
    FROM bulkport.jobs job WHERE job.job_id = ANY (chosen) ORDER BY job.job_id;
    PERFORM bulkport.notify_workers('due', GREATEST(extract(epoch FROM due - moment), 0)::text);
END;
$$;

-- Gives jobs that have not begun another priority or queue (NULL: as it is).
CREATE FUNCTION bulkport.change(job_ids bigint[], new_priority integer, new_queue text, why text, who text)
RETURNS TABLE (job_id bigint, what text)
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    moment timestamptz := clock_timestamp();
    held bulkport.held_job[] := bulkport.hold(job_ids, 'change');
    changed bigint[];
BEGIN
    changed := ARRAY(
        SELECT job.job_id FROM bulkport.jobs job WHERE job.job_id = ANY (bulkport.those(held, 'changed'))
          AND (job.priority <> COALESCE(new_priority, job.priority) OR job.queue <> COALESCE(new_queue, job.queue)));
    -- A move between queues is not a new job: one count goes up, the other down.
    INSERT INTO bulkport.job_deltas (at, task, queue, entered_state, jobs)
    SELECT moment, job.task, side.queue, job.state, sum(side.jobs)
    FROM bulkport.jobs job, LATERAL (VALUES (job.queue, -1), (new_queue, 1)) AS side (queue, jobs)
    WHERE job.job_id = ANY (changed) AND job.queue <> new_queue GROUP BY job.task, side.queue, job.state;
    INSERT INTO bulkport.job_history (job_id, at, state, reason, actor)
    SELECT job.job_id, moment, job.state, concat_ws(', ',
               CASE WHEN job.priority <> new_priority THEN format('priority %s, was %s', new_priority, job.priority) END,
               CASE WHEN job.queue <> new_queue THEN format('queue %s, was %s', new_queue, job.queue) END, why), who
    FROM bulkport.jobs job WHERE job.job_id = ANY (changed) ORDER BY job.job_id;
    UPDATE bulkport.jobs job SET
        priority = COALESCE(new_priority, job.priority), queue = COALESCE(new_queue, job.queue),
        fair_at = bulkport.next_turn(COALESCE(new_queue, job.queue), COALESCE(new_priority, job.priority), job.user_id)
    WHERE job.job_id = ANY (changed);
    PERFORM bulkport.register_queue(new_queue) WHERE new_queue IS NOT NULL AND cardinality(changed) > 0;
    PERFORM bulkport.notify_workers('queue', named.queue)
    FROM (SELECT DISTINCT job.queue FROM bulkport.jobs job WHERE job.job_id = ANY (changed) AND job.state = 'enqueued')
        AS named;
    RETURN QUERY SELECT job.job_id, job.what FROM unnest(held) AS job;
END;
$$;

-- Before a queue's row is written: enqueueing then leaves the listing of a new queue to this transaction, and does not wait
-- for it; see register_queue.
CREATE FUNCTION bulkport.list_queue(queue text)
RETURNS void
LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(hashtext('bulkport.queues'), hashtext(queue))
$$;

-- Pauses a queue: its jobs are not claimed until it is resumed. Jobs that run go on.
CREATE FUNCTION bulkport.pause_queue(queue text, who text, note text DEFAULT NULL)
RETURNS void
LANGUAGE sql AS $$
    SELECT bulkport.list_queue(queue);
    INSERT INTO bulkport.queues AS known (name, paused_at, paused_by, paused_note, changed_at, changed_by)
    VALUES (queue, clock_timestamp(), who, note, clock_timestamp(), who)
    ON CONFLICT (name) DO UPDATE SET
        paused_at = EXCLUDED.paused_at, paused_by = EXCLUDED.paused_by, paused_note = EXCLUDED.paused_note,
        changed_at = EXCLUDED.changed_at, changed_by = EXCLUDED.changed_by
    WHERE known.paused_at IS NULL
$$;

CREATE FUNCTION bulkport.resume_queue(queue text, who text DEFAULT NULL)
RETURNS void
LANGUAGE sql AS $$
    UPDATE bulkport.queues
    SET paused_at = NULL, paused_by = NULL, paused_note = NULL, changed_at = clock_timestamp(), changed_by = who
    WHERE name = queue AND paused_at IS NOT NULL;
    SELECT bulkport.notify_workers('queue', queue)
$$;

-- Pauses a task: its jobs are not claimed until it is resumed. Jobs that run go on.
CREATE FUNCTION bulkport.pause_task(paused text, who text, why text DEFAULT NULL)
RETURNS void
LANGUAGE sql AS $$
    INSERT INTO bulkport.paused_tasks (task, paused_by, note) VALUES (paused, who, why) ON CONFLICT DO NOTHING
$$;

-- Workers of all queues look: the jobs of a task may wait in any.
CREATE FUNCTION bulkport.resume_task(paused text)
RETURNS void
LANGUAGE sql AS $$
    DELETE FROM bulkport.paused_tasks WHERE task = paused;
    SELECT bulkport.notify_workers('queue', '')
$$;

-- Limits the concurrent jobs of a queue on all servers together; NULL removes the limit.
CREATE FUNCTION bulkport.limit_queue(queue text, most integer, who text DEFAULT NULL)
RETURNS void
LANGUAGE sql AS $$
    SELECT bulkport.list_queue(queue);
    INSERT INTO bulkport.queues AS known (name, concurrency_limit, changed_at, changed_by)
    VALUES (queue, most, clock_timestamp(), who)
    ON CONFLICT (name) DO UPDATE SET
        concurrency_limit = EXCLUDED.concurrency_limit,
        changed_at = EXCLUDED.changed_at, changed_by = EXCLUDED.changed_by
    WHERE known.concurrency_limit IS DISTINCT FROM EXCLUDED.concurrency_limit;
    SELECT bulkport.notify_workers('queue', queue)
$$;

-- Sets a queue's share of claims among queues of equal priority; the default is 1.
CREATE FUNCTION bulkport.weigh_queue(queue text, share double precision, who text DEFAULT NULL)
RETURNS void
LANGUAGE sql AS $$
    SELECT bulkport.list_queue(queue);
    INSERT INTO bulkport.queues AS known (name, weight, changed_at, changed_by)
    VALUES (queue, share, clock_timestamp(), who)
    ON CONFLICT (name) DO UPDATE SET
        weight = EXCLUDED.weight, changed_at = EXCLUDED.changed_at, changed_by = EXCLUDED.changed_by
    WHERE known.weight <> EXCLUDED.weight;
$$;
