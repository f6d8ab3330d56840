-- Enqueueing.

-- The virtual start time of a user's next job: see "Fairness" in claim.sql. It is not written in SQL: before PostgreSQL 18
-- a function in SQL that cannot be inlined is planned anew by each statement that calls it, which took half the time of
-- enqueueing a job. So it is with search_text, array_without and move_finished.
CREATE FUNCTION bulkport.next_turn(job_queue text, job_priority integer, job_user text)
RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN GREATEST(
        (SELECT clock.fair_at FROM bulkport.queue_clocks clock
         WHERE clock.queue = job_queue AND clock.priority = job_priority),
        (SELECT job.fair_at + 1 FROM bulkport.jobs job
         WHERE job.queue = job_queue AND job.priority = job_priority AND job.state = 'enqueued'
           AND COALESCE(job.user_id, '') = COALESCE(job_user, '')
         ORDER BY job.fair_at DESC LIMIT 1),
        0);
END;
$$;

-- A queue is listed from its first job on. Whoever finds another transaction listing it leaves it to that one: a job
-- must not wait for a stranger's commit.
CREATE FUNCTION bulkport.register_queue(queue text)
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM bulkport.queues WHERE name = queue)
        AND pg_try_advisory_xact_lock(hashtext('bulkport.queues'), hashtext(queue))
    THEN
        INSERT INTO bulkport.queues (name) VALUES (queue) ON CONFLICT DO NOTHING;
    END IF;
END;
$$;

-- Notifies the workers. What: 'queue' (there is work in the queue of this name), 'cancel' (the job of this id is to stop),
-- 'due' and 'recurring' (look again in so many seconds), 'batches' (these may have ended).
CREATE FUNCTION bulkport.notify_workers(what text, detail text)
RETURNS void
LANGUAGE sql AS $$
    SELECT pg_notify('bulkport.jobs', what || ' ' || CASE WHEN length(detail) < 5000 THEN detail ELSE '' END)
$$;

-- One job that may run at once: the usual case, which a statement of the import core evaluates inline.
CREATE FUNCTION bulkport.enqueue_now(
    new_task text, new_queue text, new_priority integer, new_args jsonb, new_user text DEFAULT NULL,
    new_recurring text DEFAULT NULL, new_origin bigint DEFAULT NULL
)
RETURNS bigint
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    new_id bigint;
    moment timestamptz := clock_timestamp();
BEGIN
    INSERT INTO bulkport.jobs (
        task, queue, priority, state, fair_at, args, user_id, created_at, ready_at, recurring_id, origin_id)
    VALUES (
        new_task, new_queue, new_priority, 'enqueued', bulkport.next_turn(new_queue, new_priority, new_user), new_args,
        new_user, moment, moment, new_recurring, new_origin)
    RETURNING job_id INTO new_id;
    INSERT INTO bulkport.job_deltas (at, task, queue, entered_state, jobs)
    VALUES (moment, new_task, new_queue, 'enqueued', 1);
    PERFORM bulkport.register_queue(new_queue);
    PERFORM pg_notify('bulkport.jobs', 'queue ' || new_queue);
    RETURN new_id;
END;
$$;

-- Many jobs that may all run at once, from an array of objects with the parameters of `enqueue_now` as members. Returns
-- their ids in their order.
CREATE FUNCTION bulkport.enqueue_all_now(new_jobs json)
RETURNS SETOF bigint
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    moment timestamptz := clock_timestamp();
BEGIN
    RETURN QUERY
        WITH item AS MATERIALIZED (
            SELECT nextval(pg_get_serial_sequence('bulkport.jobs', 'job_id')) AS id, given.*
            FROM ROWS FROM (json_to_recordset(new_jobs) AS (
                task text, args jsonb, queue text, priority integer, user_id text, recurring_id text, origin_id bigint))
                WITH ORDINALITY AS given (task, args, queue, priority, user_id, recurring_id, origin_id, number)
        ), flow AS MATERIALIZED (
            SELECT queue, priority, COALESCE(user_id, '') AS user_id,
                   bulkport.next_turn(queue, priority, COALESCE(user_id, '')) AS turn
            FROM item GROUP BY 1, 2, 3
        ), new AS (
            INSERT INTO bulkport.jobs (
                job_id, task, queue, priority, state, fair_at, args, user_id, created_at, ready_at, recurring_id,
                origin_id)
            SELECT item.id, item.task, item.queue, item.priority, 'enqueued',
                   flow.turn - 1 + row_number() OVER (
                       PARTITION BY flow.queue, flow.priority, flow.user_id ORDER BY item.number),
                   item.args, item.user_id, moment, moment, item.recurring_id, item.origin_id
            FROM item JOIN flow
              ON flow.queue = item.queue AND flow.priority = item.priority AND flow.user_id = COALESCE(item.user_id, '')
        ), counted AS (
            INSERT INTO bulkport.job_deltas (at, task, queue, entered_state, jobs)
            SELECT moment, task, queue, 'enqueued', count(*) FROM item GROUP BY 2, 3
        ), notified AS MATERIALIZED (
            SELECT bulkport.register_queue(named.queue)::text, pg_notify('bulkport.jobs', 'queue ' || named.queue)::text
            FROM (SELECT DISTINCT queue FROM item) AS named
        )
        SELECT id FROM item CROSS JOIN (SELECT count(*) FROM notified) AS sent ORDER BY number;
END;
$$;

-- A job to be enqueued, as read from JSON.
CREATE TYPE bulkport.new_job AS (
    number integer,
    id bigint,
    task text,
    args jsonb,
    queue text,
    priority integer,
    due_at timestamptz,  -- NULL: at once
    user_id text,
    unique_key text,
    unique_for double precision,
    concurrency_key text,
    concurrency_limit integer,
    rate_key text,
    rate_limit integer,
    rate_seconds double precision,
    batch_id bigint,
    recurring_id text,
    origin_id bigint,
    parents jsonb,  -- NULL or not empty
    tags jsonb  -- NULL or not empty
);

-- Any jobs, from an array of objects with the members of NewJob in port/queueing.py; `delay` is in seconds.
-- A job whose unique_key is taken is not created; returns the id of the job that has it, with is_new = false.
CREATE FUNCTION bulkport.enqueue(new_jobs json)
RETURNS TABLE ("position" integer, job_id bigint, is_new boolean)
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
    moment timestamptz := clock_timestamp();
    pending bulkport.new_job[];
    made bigint[];
    all_made boolean;
    new_ids bigint[] := '{}';
    is_plain boolean;
    has_unique boolean;
    has_tags boolean;
    taken_numbers integer[];
    taken_ids bigint[];
BEGIN
    SELECT array_agg(ROW(
               item.number - 1, nextval(pg_get_serial_sequence('bulkport.jobs', 'job_id')), item.task, item.args,
               item.queue, item.priority, due.at, item.user_id, item.unique_key, item.unique_for, item.concurrency_key,
               item.concurrency_limit, item.rate_key, item.rate_limit, item.rate_seconds, item.batch_id,
               item.recurring_id, item.origin_id, NULLIF(item.parents, '[]'), NULLIF(item.tags, '[]')
           )::bulkport.new_job ORDER BY item.number),
           bool_and(due.at IS NULL AND item.batch_id IS NULL AND item.parents IS NULL),
           bool_or(item.unique_key IS NOT NULL),
           bool_or(item.tags IS NOT NULL)
    INTO pending, is_plain, has_unique, has_tags
    FROM ROWS FROM (json_to_recordset(new_jobs) AS (
        task text, args jsonb, queue text, priority integer, delay double precision, at timestamptz, user_id text,
        unique_key text, unique_for double precision, concurrency_key text, concurrency_limit integer, rate_key text,
        rate_limit integer, rate_seconds double precision, batch_id bigint, recurring_id text, origin_id bigint,
        parents jsonb, tags jsonb)) WITH ORDINALITY AS item (
        task, args, queue, priority, delay, at, user_id, unique_key, unique_for, concurrency_key, concurrency_limit,
        rate_key, rate_limit, rate_seconds, batch_id, recurring_id, origin_id, parents, tags, number)
    CROSS JOIN LATERAL (SELECT COALESCE(item.at, moment + make_interval(secs => item.delay))) AS wish (at)
    CROSS JOIN LATERAL (SELECT CASE WHEN wish.at > moment THEN wish.at END) AS due (at);

    -- Again as long as somebody takes a unique key between the look for it and the insertion.
    WHILE pending IS NOT NULL LOOP
        IF has_unique THEN
            SELECT COALESCE(array_agg(taken.number), '{}'), COALESCE(array_agg(taken.job_id), '{}')
            INTO taken_numbers, taken_ids FROM bulkport.taken_keys(pending, moment) AS taken;
            RETURN QUERY
                SELECT taken.number, taken.id, false FROM unnest(taken_numbers, taken_ids) AS taken (number, id);
            SELECT array_agg(wanted ORDER BY wanted.number) INTO pending
            FROM unnest(pending) AS wanted WHERE wanted.number <> ALL (taken_numbers);
            EXIT WHEN pending IS NULL;
        END IF;
        WITH flow AS MATERIALIZED (
            SELECT queue, priority, COALESCE(user_id, '') AS user_id,
                   bulkport.next_turn(queue, priority, COALESCE(user_id, '')) AS turn
            FROM unnest(pending) GROUP BY 1, 2, 3
        ), new AS (
            INSERT INTO bulkport.jobs (
                job_id, task, queue, priority, state, fair_at, args, user_id, created_at, ready_at, due_at, unique_key,
                concurrency_key, concurrency_limit, rate_key, rate_limit, rate_seconds, batch_id, recurring_id,
                origin_id, parents_left)
            SELECT wanted.id, wanted.task, wanted.queue, wanted.priority,
                   CASE WHEN wanted.parents IS NOT NULL THEN 'awaiting'
                        WHEN wanted.due_at IS NOT NULL THEN 'scheduled'
                        ELSE 'enqueued' END::bulkport.job_state,
                   flow.turn - 1 + row_number() OVER (
                       PARTITION BY flow.queue, flow.priority, flow.user_id ORDER BY wanted.number),
                   wanted.args, wanted.user_id, moment, COALESCE(wanted.due_at, moment), wanted.due_at,
                   wanted.unique_key, wanted.concurrency_key, wanted.concurrency_limit, wanted.rate_key,
                   wanted.rate_limit, wanted.rate_seconds, wanted.batch_id, wanted.recurring_id, wanted.origin_id,
                   COALESCE(jsonb_array_length(wanted.parents), 0)
            FROM unnest(pending) AS wanted JOIN flow
              ON flow.queue = wanted.queue AND flow.priority = wanted.priority
             AND flow.user_id = COALESCE(wanted.user_id, '')
            -- In one order everywhere, or two transactions with the same keys could wait for each other.
            ORDER BY wanted.unique_key, wanted.number
            ON CONFLICT (unique_key) WHERE unique_key IS NOT NULL
                AND state IN ('enqueued', 'scheduled', 'awaiting', 'retrying') DO NOTHING
            RETURNING job_id
        )
        SELECT COALESCE(array_agg(job_id), '{}') INTO made FROM new;
        all_made := cardinality(made) = cardinality(pending);
        RETURN QUERY
            SELECT wanted.number, wanted.id, true FROM unnest(pending) AS wanted WHERE all_made OR wanted.id = ANY (made);
        IF NOT is_plain THEN
            INSERT INTO bulkport.job_continuations (child_id, parent_id, batch_id, on_outcome)
            SELECT wanted.id, parent.job_id, parent.batch_id, parent."on"
            FROM unnest(pending) AS wanted
            CROSS JOIN LATERAL jsonb_to_recordset(wanted.parents)
                AS parent (job_id bigint, batch_id bigint, "on" text)
            WHERE wanted.parents IS NOT NULL AND (all_made OR wanted.id = ANY (made));
        END IF;
        IF has_tags THEN
            INSERT INTO bulkport.job_tags (job_id, tag)
            SELECT wanted.id, named.tag FROM unnest(pending) AS wanted
            CROSS JOIN LATERAL jsonb_array_elements_text(wanted.tags) AS named (tag)
            WHERE wanted.tags IS NOT NULL AND (all_made OR wanted.id = ANY (made))
            ON CONFLICT DO NOTHING;
        END IF;
        INSERT INTO bulkport.job_deltas (at, task, queue, entered_state, jobs)
        SELECT moment, wanted.task, wanted.queue,
               CASE WHEN wanted.parents IS NOT NULL THEN 'awaiting' WHEN wanted.due_at IS NOT NULL THEN 'scheduled'
                    ELSE 'enqueued' END::bulkport.job_state,
               count(*)
        FROM unnest(pending) AS wanted WHERE all_made OR wanted.id = ANY (made) GROUP BY 2, 3, 4;
        PERFORM bulkport.register_queue(named.queue), pg_notify('bulkport.jobs', 'queue ' || named.queue)
        FROM (SELECT DISTINCT queue FROM unnest(pending)) AS named;
        new_ids := new_ids || made;
        EXIT WHEN all_made;
        pending := ARRAY(SELECT wanted FROM unnest(pending) AS wanted WHERE wanted.id <> ALL (made) ORDER BY wanted.number);
    END LOOP;
    IF NOT is_plain THEN
        PERFORM bulkport.join_batches(new_ids);
        PERFORM bulkport.link_parents(ARRAY(
            SELECT job.job_id FROM bulkport.jobs job WHERE job.job_id = ANY (new_ids) AND job.state = 'awaiting'));
        PERFORM bulkport.notify_workers('due', GREATEST(extract(epoch FROM min(job.due_at) - moment), 0)::text)
        FROM bulkport.jobs job WHERE job.job_id = ANY (new_ids) AND job.state = 'scheduled' HAVING count(*) > 0;
    END IF;
END;
$$;

-- Of the jobs wanted, those whose unique keys are taken: by a job that waits, or for a time that is not over. Keys with a
-- time of their own that are free are taken for the jobs, in one order.
CREATE FUNCTION bulkport.taken_keys(pending bulkport.new_job[], moment timestamptz)
RETURNS TABLE (number integer, job_id bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO bulkport.unique_keys AS stored (unique_key, job_id, taken_at, expires_at)
    SELECT DISTINCT ON (wanted.unique_key) wanted.unique_key, wanted.id, moment,
           COALESCE(wanted.due_at, moment) + make_interval(secs => wanted.unique_for)
    FROM unnest(pending) AS wanted
    WHERE wanted.unique_key IS NOT NULL AND wanted.unique_for IS NOT NULL
    ORDER BY wanted.unique_key, wanted.number
    ON CONFLICT (unique_key) DO UPDATE
    SET job_id = EXCLUDED.job_id, taken_at = EXCLUDED.taken_at, expires_at = EXCLUDED.expires_at
    WHERE stored.expires_at <= moment OR stored.taken_at > moment + interval '1 minute';
    -- A job that still waits takes precedence over the period: its key was taken by itself.
    UPDATE bulkport.unique_keys stored SET job_id = waiting.job_id
    FROM unnest(pending) AS wanted JOIN bulkport.jobs waiting ON waiting.unique_key = wanted.unique_key
    WHERE waiting.state IN ('enqueued', 'scheduled', 'awaiting', 'retrying')
      AND stored.unique_key = wanted.unique_key AND stored.job_id = wanted.id;
    RETURN QUERY
        SELECT wanted.number, COALESCE(waiting.job_id, stored.job_id)
        FROM unnest(pending) AS wanted
        LEFT JOIN bulkport.jobs waiting ON waiting.unique_key = wanted.unique_key
            AND waiting.state IN ('enqueued', 'scheduled', 'awaiting', 'retrying')
        LEFT JOIN bulkport.unique_keys stored ON stored.unique_key = wanted.unique_key AND wanted.unique_for IS NOT NULL
        WHERE waiting.job_id IS NOT NULL OR stored.job_id <> wanted.id;
END;
$$;
