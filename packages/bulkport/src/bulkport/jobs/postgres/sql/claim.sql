-- Claiming.
--
-- Fairness: among the jobs of one queue and one priority, users take turns (start-time fair queueing). A job is given a
-- virtual start time when it is enqueued: one more than that of the user's last waiting job, or the queue's present
-- virtual time if that is later. Claims go in that order, so a user's first job goes next however many jobs of others
-- wait. Jobs without a user are those of one more user. The queue's present is the latest virtual start that was claimed.
--
-- Between queues of one priority chance decides which is first, in proportion to their weights; then they take turns.
--
-- A session plans the statements of a function once, when the table may be nearly empty. Hence the settings at every
-- function that looks jobs up: it is left only with the indexes.

-- Claims at most `free` jobs of known tasks, best first, in up to `reach` that it looks at in each queue and task.
-- `signal` is NULL for a job; else the row says 'evicted' (the worker's lease is gone) or 'again' (there are jobs, but
-- others hold them or they had to be set aside).
CREATE FUNCTION bulkport.claim(
    claimant bigint, known_tasks text[], heavy_tasks text[], served_queues text[], free integer, reach integer
)
RETURNS TABLE (
    job_id bigint, task text, queue text, priority integer, args jsonb, runs integer, failures integer,
    lost_runs integer, signal text
)
LANGUAGE plpgsql
SET enable_seqscan = off SET jit = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
    chosen bigint[];
    found_jobs bigint;
    is_special boolean;
    claimed integer := 0;
BEGIN
    IF NOT EXISTS (SELECT FROM bulkport.servers WHERE worker_id = claimant) THEN
        RETURN QUERY SELECT NULL::bigint, NULL, NULL, NULL::integer, NULL::jsonb, NULL::integer, NULL::integer,
                            NULL::integer, 'evicted';
        RETURN;
    END IF;
    WITH RECURSIVE queue_task AS (
        (SELECT job.queue, job.task FROM bulkport.jobs job WHERE job.state = 'enqueued' AND NOT job.parked
         ORDER BY job.queue, job.task LIMIT 1)
        UNION ALL
        SELECT next.queue, next.task FROM queue_task CROSS JOIN LATERAL (
            SELECT job.queue, job.task FROM bulkport.jobs job
            WHERE job.state = 'enqueued' AND NOT job.parked AND (job.queue, job.task) > (queue_task.queue, queue_task.task)
            ORDER BY job.queue, job.task LIMIT 1
        ) AS next
    ), open AS MATERIALIZED (
        SELECT queue_task.queue, queue_task.task, COALESCE(known.weight, 1) AS weight,
               known.concurrency_limit IS NOT NULL AS is_limited, queue_task.task = ANY (heavy_tasks) AS is_heavy
        FROM queue_task LEFT JOIN bulkport.queues known ON known.name = queue_task.queue
        WHERE queue_task.task = ANY (known_tasks) AND (served_queues IS NULL OR queue_task.queue = ANY (served_queues))
          AND known.paused_at IS NULL
          AND NOT EXISTS (SELECT FROM bulkport.paused_tasks paused WHERE paused.task = queue_task.task)
          AND (known.concurrency_limit IS NULL OR known.concurrency_limit > (
              SELECT count(*) FROM bulkport.jobs job WHERE job.state = 'processing' AND job.queue = queue_task.queue))
    ), candidate AS MATERIALIZED (
        SELECT first.job_id, first.priority, first.fair_at, open.queue, open.weight, open.is_heavy,
               row_number() OVER (
                   PARTITION BY open.queue ORDER BY first.priority DESC, first.fair_at, first.job_id) AS place
        FROM open CROSS JOIN LATERAL (
            SELECT job.job_id, job.priority, job.fair_at FROM bulkport.jobs job
            WHERE job.queue = open.queue AND job.task = open.task AND job.state = 'enqueued' AND NOT job.parked
            ORDER BY job.priority DESC, job.fair_at, job.job_id
            -- One job that keeps a process busy at a time, so that they spread over all processes.
            LIMIT CASE WHEN open.is_heavy THEN GREATEST(1, reach / (4 * free)) ELSE reach END
        ) AS first
    ), chance AS MATERIALIZED (
        SELECT queue, -ln(1 - random()) / min(weight) AS draw FROM candidate GROUP BY queue
    ), had AS MATERIALIZED (
        SELECT job.job_id, job.concurrency_key IS NOT NULL OR job.rate_key IS NOT NULL OR open.is_limited AS is_special
        FROM candidate JOIN chance ON chance.queue = candidate.queue
        JOIN bulkport.jobs job ON job.job_id = candidate.job_id
        JOIN open ON open.queue = job.queue AND open.task = job.task
        -- Written so that no partial index answers it: each is found by its id, however wrong the statistics are.
        WHERE job.state::text = 'enqueued' AND job.parked::text = 'false'
          AND candidate.job_id <> ALL (ARRAY(
              SELECT heavy.job_id FROM candidate heavy WHERE heavy.is_heavy
              ORDER BY heavy.priority DESC, heavy.fair_at, heavy.job_id OFFSET GREATEST(1, reach / (4 * free))))
        ORDER BY candidate.priority DESC, chance.draw + (candidate.place - 1) / candidate.weight, job.job_id
        LIMIT free FOR UPDATE OF job SKIP LOCKED
    )
    SELECT array_agg(had.job_id), bool_or(had.is_special), (SELECT count(*) FROM candidate)
    INTO chosen, is_special, found_jobs FROM had;
    IF is_special THEN
        chosen := bulkport.admit(chosen);
    END IF;
    IF cardinality(chosen) > 0 THEN
        RETURN QUERY
            WITH taken AS (
                UPDATE bulkport.jobs job
                SET state = 'processing', worker_id = claimant, started_at = clock_timestamp()
                WHERE job.job_id = ANY (chosen)
                RETURNING job.job_id, job.task, job.queue, job.priority, job.args, job.runs, job.failures, job.lost_runs,
                          job.fair_at
            ), latest AS (
                SELECT queue, priority, max(fair_at) AS fair_at FROM taken GROUP BY queue, priority
                HAVING max(fair_at) > 0
            ), clocks AS (
                -- A clock that somebody else is just setting is left to them.
                INSERT INTO bulkport.queue_clocks AS clock (queue, priority, fair_at)
                SELECT latest.queue, latest.priority, latest.fair_at FROM latest
                WHERE NOT EXISTS (
                    SELECT FROM bulkport.queue_clocks known
                    WHERE known.queue = latest.queue AND known.priority = latest.priority
                      AND known.fair_at >= latest.fair_at)
                  AND pg_try_advisory_xact_lock(hashtext('bulkport.queue_clocks'), hashtext(latest.queue))
                ON CONFLICT (queue, priority) DO UPDATE SET fair_at = GREATEST(clock.fair_at, EXCLUDED.fair_at)
            )
            SELECT taken.job_id, taken.task, taken.queue, taken.priority, taken.args, taken.runs, taken.failures,
                   taken.lost_runs, NULL::text
            FROM taken ORDER BY array_position(chosen, taken.job_id);
        claimed := cardinality(chosen);
    END IF;
    IF claimed < free AND found_jobs > claimed THEN
        RETURN QUERY SELECT NULL::bigint, NULL, NULL, NULL::integer, NULL::jsonb, NULL::integer, NULL::integer,
                            NULL::integer, 'again';
    END IF;
END;
$$;

-- Of jobs that the caller has locked, in the order of claims, those that limits let start. The others of a concurrency
-- key at its limit are parked until a run with that key ends; those of a rate limit wait for their time. Whoever finds
-- another worker deciding about the same key leaves the jobs as they are.
CREATE FUNCTION bulkport.admit(locked bigint[])
RETURNS bigint[]
LANGUAGE plpgsql AS $$
DECLARE
    admitted bigint[] := locked;
    group_of record;
    room bigint;
BEGIN
    FOR group_of IN
        SELECT job.queue, known.concurrency_limit, array_agg(job.job_id ORDER BY array_position(locked, job.job_id)) AS ids
        FROM bulkport.jobs job JOIN bulkport.queues known ON known.name = job.queue
        WHERE job.job_id = ANY (admitted) AND known.concurrency_limit IS NOT NULL
        GROUP BY 1, 2 ORDER BY 1
    LOOP
        room := 0;
        IF pg_try_advisory_xact_lock(hashtext('bulkport.queue limit'), hashtext(group_of.queue)) THEN
            SELECT group_of.concurrency_limit - count(*) INTO room
            FROM bulkport.jobs job WHERE job.state = 'processing' AND job.queue = group_of.queue;
        END IF;
        admitted := bulkport.array_without(admitted, group_of.ids[GREATEST(room, 0) + 1:]);
    END LOOP;
    FOR group_of IN
        SELECT job.concurrency_key AS key, array_agg(job.job_id ORDER BY array_position(locked, job.job_id)) AS ids
        FROM bulkport.jobs job WHERE job.job_id = ANY (admitted) AND job.concurrency_key IS NOT NULL
        GROUP BY 1 ORDER BY 1
    LOOP
        room := NULL;
        IF pg_try_advisory_xact_lock(hashtext('bulkport.concurrency key'), hashtext(group_of.key)) THEN
            room := GREATEST(bulkport.free_slots(group_of.key), 0);
            UPDATE bulkport.jobs SET parked = true WHERE job_id = ANY (group_of.ids[room + 1:]);
        END IF;
        admitted := bulkport.array_without(admitted, group_of.ids[COALESCE(room, 0) + 1:]);
    END LOOP;
    FOR group_of IN
        SELECT job.rate_key AS key, array_agg(job.job_id ORDER BY array_position(locked, job.job_id)) AS ids
        FROM bulkport.jobs job WHERE job.job_id = ANY (admitted) AND job.rate_key IS NOT NULL AND NOT job.rate_reserved
        GROUP BY 1 ORDER BY 1
    LOOP
        admitted := bulkport.array_without(admitted, bulkport.over_rate(group_of.key, group_of.ids));
    END LOOP;
    RETURN admitted;
END;
$$;

-- The number of further jobs of a key that may run. The limit of the last enqueued job applies to all.
CREATE FUNCTION bulkport.free_slots(key text)
RETURNS bigint
-- With an equality the planner may walk through all jobs by their ids to find the key's last one.
LANGUAGE sql VOLATILE AS $$
    SELECT COALESCE((SELECT job.concurrency_limit FROM bulkport.jobs job
                     WHERE job.concurrency_key >= key AND job.concurrency_key <= key
                     ORDER BY job.concurrency_key DESC, job.job_id DESC LIMIT 1), 1)
         - (SELECT count(*) FROM bulkport.jobs job WHERE job.concurrency_key = key AND job.state = 'processing')
$$;

-- Takes a token for each of the jobs, in their order, from the bucket of a key: it holds `rate_limit` tokens and gains as
-- many every `rate_seconds`. Jobs for which there is none yet become 'scheduled' for the time of theirs. Returns those.
CREATE FUNCTION bulkport.over_rate(key text, ids bigint[])
RETURNS bigint[]
LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz := clock_timestamp();
    step interval;
    burst interval;
    bucket bulkport.rate_limits;
    ahead interval;
    full_since timestamptz;
    late bigint[];
    first_due timestamptz;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('bulkport.rate_limits'), hashtext(key)) THEN
        RETURN ids;
    END IF;
    SELECT make_interval(secs => job.rate_seconds / job.rate_limit),
           make_interval(secs => job.rate_seconds - job.rate_seconds / job.rate_limit)
    INTO step, burst FROM bulkport.jobs job WHERE job.job_id = ANY (ids) ORDER BY job.job_id DESC LIMIT 1;
    SELECT * INTO bucket FROM bulkport.rate_limits WHERE rate_key = key;
    ahead := bucket.taken_at - moment;
    IF ahead > interval '1 minute' THEN
        -- The clock ran fast: times set by it are moved forward accordingly.
        bucket.full_at := bucket.full_at - ahead;
        UPDATE bulkport.jobs SET due_at = due_at - ahead WHERE job_id IN (
            SELECT job_id FROM bulkport.jobs WHERE state = 'scheduled' AND rate_reserved AND rate_key = key
            FOR UPDATE SKIP LOCKED);
    END IF;
    full_since := GREATEST(bucket.full_at, moment);
    INSERT INTO bulkport.rate_limits (rate_key, full_at, taken_at)
    VALUES (key, full_since + step * cardinality(ids), moment)
    ON CONFLICT (rate_key) DO UPDATE SET full_at = EXCLUDED.full_at, taken_at = EXCLUDED.taken_at;
    WITH turn AS MATERIALIZED (
        SELECT id, full_since + step * (number - 1) - burst AS at FROM unnest(ids) WITH ORDINALITY AS given (id, number)
    ), moved AS (
        UPDATE bulkport.jobs job SET rate_reserved = true, state = 'scheduled', due_at = turn.at
        FROM turn WHERE job.job_id = turn.id AND turn.at > moment
        RETURNING job.job_id, job.task, job.queue, job.due_at
    ), counted AS (
        INSERT INTO bulkport.job_deltas (at, task, queue, left_state, entered_state, jobs)
        SELECT moment, task, queue, 'enqueued', 'scheduled', count(*) FROM moved GROUP BY task, queue
    )
    SELECT array_agg(job_id), min(due_at) INTO late, first_due FROM moved;
    IF late IS NOT NULL THEN
        PERFORM bulkport.notify_workers('due', extract(epoch FROM first_due - moment)::text);
    END IF;
    RETURN COALESCE(late, '{}');
END;
$$;

CREATE FUNCTION bulkport.array_without(ids bigint[], others bigint[])
RETURNS bigint[]
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN ARRAY(SELECT id FROM unnest(ids) WITH ORDINALITY AS listed (id, place)
                 WHERE id <> ALL (COALESCE(others, '{}')) ORDER BY place);
END;
$$;

-- Lets parked jobs of these keys wait in their queues again, as many as there are free slots. A lock is held by claims
-- and by the ends of runs only, for moments: a job that is parked while a run ends is seen by one of them.
CREATE FUNCTION bulkport.unpark(keys text[])
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    wanted text;
    notified bigint;
BEGIN
    FOR wanted IN SELECT DISTINCT key FROM unnest(keys) AS key WHERE key IS NOT NULL ORDER BY key LOOP
        PERFORM pg_advisory_xact_lock(hashtext('bulkport.concurrency key'), hashtext(wanted));
        WITH freed AS (
            UPDATE bulkport.jobs SET parked = false
            WHERE job_id IN (
                SELECT job.job_id FROM bulkport.jobs job WHERE job.parked AND job.concurrency_key = wanted
                ORDER BY job.priority DESC, job.fair_at, job.job_id
                LIMIT GREATEST(bulkport.free_slots(wanted), 0) FOR UPDATE SKIP LOCKED)
            RETURNING queue
        )
        SELECT count(pg_notify('bulkport.jobs', 'queue ' || queue)::text) INTO notified
        FROM (SELECT DISTINCT queue FROM freed) AS named;
    END LOOP;
END;
$$;
