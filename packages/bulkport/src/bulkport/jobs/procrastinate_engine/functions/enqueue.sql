-- Queueing jobs.

-- One job that may run at once: what nearly every job is, and what a statement of the import core evaluates inline.
CREATE FUNCTION background_enqueue_now_v1(
    task text, queue text, priority integer, args jsonb, user_id text DEFAULT NULL, recurring_id text DEFAULT NULL,
    origin_id bigint DEFAULT NULL
)
RETURNS bigint
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    new_id bigint := (procrastinate_defer_jobs_v1(ARRAY[
        ROW(queue, task, priority, NULL, NULL, args, NULL)::procrastinate_job_to_defer_v1]))[1];
    created_at timestamptz := clock_timestamp();
BEGIN
    INSERT INTO background_jobs (
        job_id, task, queue, priority, state, args, user_id, created_at, ready_at, recurring_id, origin_id)
    VALUES (
        new_id, task, queue, priority, 'enqueued', args, user_id, created_at, created_at, recurring_id, origin_id);
    INSERT INTO background_deltas (at, task, queue, entered_state, jobs) VALUES (created_at, task, queue, 'enqueued', 1);
    PERFORM background_register_queue_v1(queue);
    RETURN new_id;
END;
$$;

-- A queue is listed from its first job on. Whoever finds another transaction listing it leaves it to that one: a job
-- must not wait for a stranger's commit.
CREATE FUNCTION background_register_queue_v1(queue text)
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM background_queues WHERE name = queue)
        AND pg_try_advisory_xact_lock(hashtext('background_queues'), hashtext(queue))
    THEN
        INSERT INTO background_queues (name) VALUES (queue) ON CONFLICT DO NOTHING;
    END IF;
END;
$$;

-- A job to be queued, as read from JSON.
CREATE TYPE background_new_job AS (
    number integer,
    task text,
    args jsonb,
    queue text,
    priority integer,
    due_at timestamptz,  -- NULL: at once
    user_id text,
    unique_key text,
    concurrency_key text,
    concurrency_limit integer,
    batch_id bigint,
    recurring_id text,
    origin_id bigint,
    parents jsonb  -- NULL or not empty
);

-- Any jobs, from an array of objects whose members are those of NewJob in port/queueing.py; `delay` is in seconds.
-- A job whose unique_key a waiting job has is not made: that job's id is returned, with is_new = false.
CREATE FUNCTION background_enqueue_v1(jobs jsonb)
RETURNS TABLE ("position" integer, job_id bigint, is_new boolean)
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
    first jsonb := jobs -> 0;
    begun_at timestamptz := clock_timestamp();
    pending background_new_job[];
    ids bigint[];
    made bigint[];
    all_made boolean;
    new_ids bigint[] := '{}';
BEGIN
    IF jsonb_array_length(jobs) = 1
        AND NOT first ?| ARRAY['at', 'delay', 'unique_key', 'concurrency_key', 'batch_id', 'parents']
    THEN
        RETURN QUERY SELECT 0, background_enqueue_now_v1(
            first ->> 'task', first ->> 'queue', (first ->> 'priority')::integer, first -> 'args',
            first ->> 'user_id', first ->> 'recurring_id', (first ->> 'origin_id')::bigint
        ), true;
        RETURN;
    END IF;

    SELECT array_agg(ROW(
               item.number - 1, job.task, job.args, job.queue, job.priority, due.at, job.user_id, job.unique_key,
               job.concurrency_key, job.concurrency_limit, job.batch_id, job.recurring_id, job.origin_id,
               NULLIF(job.parents, '[]')
           )::background_new_job ORDER BY item.number)
    INTO pending
    FROM jsonb_array_elements(jobs) WITH ORDINALITY AS item (value, number)
    CROSS JOIN LATERAL jsonb_to_record(item.value) AS job (
        task text, args jsonb, queue text, priority integer, delay double precision, at timestamptz, user_id text,
        unique_key text, concurrency_key text, concurrency_limit integer, batch_id bigint, recurring_id text,
        origin_id bigint, parents jsonb)
    CROSS JOIN LATERAL (SELECT COALESCE(job.at, begun_at + make_interval(secs => job.delay))) AS wanted (at)
    CROSS JOIN LATERAL (SELECT CASE WHEN wanted.at > begun_at THEN wanted.at END) AS due (at);

    -- Again as long as somebody takes a unique key between the look for it and the insertion.
    WHILE pending IS NOT NULL LOOP
        RETURN QUERY
            SELECT wanted.number, waiting.job_id, false
            FROM unnest(pending) AS wanted JOIN background_jobs waiting ON waiting.unique_key = wanted.unique_key
            WHERE waiting.state IN ('enqueued', 'scheduled', 'awaiting', 'retrying');
        IF FOUND THEN
            SELECT array_agg(wanted ORDER BY wanted.number) INTO pending
            FROM unnest(pending) AS wanted
            WHERE NOT EXISTS (
                SELECT FROM background_jobs waiting
                WHERE waiting.unique_key = wanted.unique_key
                  AND waiting.state IN ('enqueued', 'scheduled', 'awaiting', 'retrying'));
            EXIT WHEN pending IS NULL;
        END IF;
        SELECT procrastinate_defer_jobs_v1(array_agg(ROW(
                   wanted.queue, wanted.task, wanted.priority, NULL, NULL, wanted.args, NULL
               )::procrastinate_job_to_defer_v1 ORDER BY wanted.number))
        INTO ids FROM unnest(pending) AS wanted;
        WITH new AS (
            INSERT INTO background_jobs (
                job_id, task, queue, priority, state, args, user_id, created_at, ready_at, due_at, unique_key,
                concurrency_key, concurrency_limit, batch_id, recurring_id, origin_id, parents_left)
            SELECT wanted.id, task, queue, priority,
                   CASE WHEN parents IS NOT NULL THEN 'awaiting'
                        WHEN due_at IS NOT NULL THEN 'scheduled'
                        ELSE 'enqueued' END::background_job_state,
                   args, user_id, begun_at, COALESCE(due_at, begun_at), due_at, unique_key, concurrency_key,
                   concurrency_limit, batch_id, recurring_id, origin_id, COALESCE(jsonb_array_length(parents), 0)
            FROM ROWS FROM (unnest(ids), unnest(pending)) AS wanted (id)
            -- In one order everywhere, or two transactions with the same keys could wait for each other.
            ORDER BY unique_key
            ON CONFLICT (unique_key) WHERE unique_key IS NOT NULL
                AND state IN ('enqueued', 'scheduled', 'awaiting', 'retrying') DO NOTHING
            RETURNING job_id
        )
        SELECT COALESCE(array_agg(job_id), '{}') INTO made FROM new;
        all_made := cardinality(made) = cardinality(ids);
        RETURN QUERY
            SELECT wanted.number, wanted.id, true
            FROM ROWS FROM (unnest(ids), unnest(pending)) AS wanted (id) WHERE all_made OR wanted.id = ANY(made);
        INSERT INTO background_continuations (child_id, parent_id, batch_id, on_outcome)
        SELECT wanted.id, parent.job_id, parent.batch_id, parent."on"
        FROM ROWS FROM (unnest(ids), unnest(pending)) AS wanted (id)
        CROSS JOIN LATERAL jsonb_to_recordset(wanted.parents) AS parent (job_id bigint, batch_id bigint, "on" text)
        WHERE wanted.parents IS NOT NULL AND (all_made OR wanted.id = ANY(made));
        new_ids := new_ids || made;
        EXIT WHEN all_made;
        PERFORM procrastinate_finish_job_v1(loser.id, 'succeeded', true)
        FROM unnest(ids) AS loser (id) WHERE loser.id <> ALL(made);
        SELECT array_agg(pending[given.place] ORDER BY given.place) INTO pending
        FROM generate_subscripts(pending, 1) AS given (place) WHERE ids[given.place] <> ALL(made);
    END LOOP;

    PERFORM background_settle_new_v1(new_ids);
END;
$$;

-- The rest about jobs just made: what must wait is taken out of Procrastinate's queue again.
CREATE FUNCTION background_settle_new_v1(new_ids bigint[])
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    keyed record;
    -- Before any is released: jobs that waited for parents take their slots then.
    keyed_ids bigint[] := ARRAY(
        SELECT job_id FROM background_jobs
        WHERE job_id = ANY(new_ids) AND state = 'enqueued' AND concurrency_key IS NOT NULL);
    nearest double precision;
BEGIN
    INSERT INTO background_deltas (at, task, queue, entered_state, jobs)
    SELECT clock_timestamp(), task, queue, state, count(*)
    FROM background_jobs WHERE job_id = ANY(new_ids) GROUP BY task, queue, state;

    PERFORM background_register_queue_v1(named.queue)
    FROM (SELECT DISTINCT queue FROM background_jobs WHERE job_id = ANY(new_ids)) AS named;

    PERFORM procrastinate_finish_job_v1(job_id, 'failed', false)
    FROM background_jobs WHERE job_id = ANY(new_ids) AND state <> 'enqueued';

    PERFORM background_join_batches_v1(array_agg(job_id))
    FROM background_jobs WHERE job_id = ANY(new_ids) AND batch_id IS NOT NULL HAVING count(*) > 0;

    PERFORM background_link_parents_v1(array_agg(job_id ORDER BY job_id))
    FROM background_jobs WHERE job_id = ANY(new_ids) AND state = 'awaiting' HAVING count(*) > 0;

    FOR keyed IN
        SELECT job_id, concurrency_key, concurrency_limit FROM background_jobs
        WHERE job_id = ANY(keyed_ids) ORDER BY concurrency_key, priority DESC, job_id
    LOOP
        IF NOT background_take_slot_v1(keyed.concurrency_key, keyed.concurrency_limit) THEN
            PERFORM procrastinate_finish_job_v1(keyed.job_id, 'failed', false);
            UPDATE background_jobs SET parked = true WHERE job_id = keyed.job_id;
        END IF;
    END LOOP;

    SELECT min(extract(epoch FROM due_at - clock_timestamp())) INTO nearest
    FROM background_jobs WHERE job_id = ANY(new_ids) AND state = 'scheduled';
    IF nearest IS NOT NULL THEN
        PERFORM background_hurry_v1('due', nearest);
    END IF;
END;
$$;

-- Has the workers run a chore in so many seconds, if they would not do so sooner; see housekeeping.py.
CREATE FUNCTION background_hurry_v1(chore text, seconds double precision)
RETURNS void
LANGUAGE sql AS $$
    SELECT pg_notify('background_chores_v1', json_build_object('chore', chore, 'seconds', GREATEST(seconds, 0))::text)
$$;
