-- Claiming jobs.
--
-- A session plans the statements of a function once, and checks of foreign keys too. If a table has been analyzed while
-- it was nearly empty it would be planned to be read from end to end, and so it would be, for each job, when a hundred
-- thousand have been queued a moment later: until autovacuum comes by. Hence `enable_seqscan = off` at every function
-- that is called from outside and looks jobs up; what these call inherits it. A claim would still look at every job that
-- waits, twice over, if it could: it is left only with the index that has the next job first.

-- The next job that the worker may run. No row: its lease is gone. A row of NULLs: there is nothing to do.
CREATE FUNCTION background_claim_v1(queues varchar[], claimant bigint)
RETURNS TABLE (
    id bigint, status procrastinate_job_status, task_name varchar, priority integer, lock text, queueing_lock text,
    args jsonb, scheduled_at timestamptz, queue_name varchar, attempts integer, worker_id bigint,
    failures integer, runs integer, lost_runs integer
)
LANGUAGE plpgsql
SET enable_seqscan = off SET jit = off SET enable_bitmapscan = off SET enable_sort = off
SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = auto
AS $$
#variable_conflict use_column
DECLARE
    open_queues varchar[] := queues;
    claimed procrastinate_jobs;
    taken_key text;
BEGIN
    IF NOT EXISTS (SELECT FROM background_servers WHERE worker_id = claimant) THEN
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM background_queues WHERE paused_at IS NOT NULL OR concurrency_limit IS NOT NULL) THEN
        open_queues := background_open_queues_v1(queues);
    END IF;
    IF open_queues IS NOT NULL AND (
        SELECT count(*) = 20 AND NOT bool_or(first.queue_name = ANY (open_queues))
        FROM (
            SELECT job.queue_name FROM procrastinate_jobs job WHERE job.status = 'todo'
            ORDER BY job.priority DESC, job.id LIMIT 20
        ) AS first)
    THEN
        -- Rather by the index of queues, planned for these very ones, than past all that waits in others.
        PERFORM set_config('enable_sort', 'on', true), set_config('plan_cache_mode', 'force_custom_plan', true);
    END IF;
    claimed := procrastinate_fetch_job_v2(open_queues, claimant);
    id := claimed.id;
    IF claimed.id IS NOT NULL THEN
        status := claimed.status;
        task_name := claimed.task_name;
        priority := claimed.priority;
        lock := claimed.lock;
        queueing_lock := claimed.queueing_lock;
        args := claimed.args;
        scheduled_at := claimed.scheduled_at;
        queue_name := claimed.queue_name;
        attempts := claimed.attempts;
        worker_id := claimed.worker_id;
        SELECT job.failures, job.runs, job.unique_key INTO failures, runs, taken_key
        FROM background_jobs job WHERE job.job_id = claimed.id;
        lost_runs := 0;
        IF runs > failures THEN
            SELECT count(*) INTO lost_runs FROM background_runs run
            WHERE run.job_id = claimed.id AND run.outcome = 'lost';
        END IF;
        IF taken_key IS NOT NULL THEN
            -- It waits no more: another job may be queued under its key.
            UPDATE background_jobs job SET unique_key = NULL WHERE job.job_id = claimed.id;
        END IF;
    END IF;
    RETURN NEXT;
END;
$$;

-- Of the given queues (NULL: of all) those that are neither paused nor at their limit. A limited queue with room is
-- locked until the claim is committed, or two claims could take its last place together.
CREATE FUNCTION background_open_queues_v1(queues varchar[])
RETURNS varchar[]
LANGUAGE plpgsql AS $$
DECLARE
    limited varchar[];
    closed varchar[];
BEGIN
    SELECT array_agg(name) INTO limited FROM background_queues
    WHERE concurrency_limit IS NOT NULL AND paused_at IS NULL AND (queues IS NULL OR name = ANY(queues))
      AND background_running_v1(name) < concurrency_limit;
    IF limited IS NOT NULL THEN
        PERFORM FROM background_queues WHERE name = ANY(limited) ORDER BY name FOR UPDATE;
    END IF;
    -- A statement of its own, so that it sees what was claimed while this one waited for the locks.
    SELECT array_agg(name) INTO closed FROM background_queues
    WHERE paused_at IS NOT NULL
       OR concurrency_limit IS NOT NULL
          AND (name <> ALL(COALESCE(limited, '{}')) OR background_running_v1(name) >= concurrency_limit);
    IF queues IS NOT NULL THEN
        RETURN ARRAY(SELECT name FROM unnest(queues) AS named (name) WHERE name <> ALL(COALESCE(closed, '{}')));
    END IF;
    -- One look into the index for each queue, however many jobs there are.
    RETURN ARRAY(
        WITH RECURSIVE used AS (
            (SELECT queue_name AS name FROM procrastinate_jobs ORDER BY queue_name LIMIT 1)
            UNION ALL
            SELECT (SELECT queue_name FROM procrastinate_jobs
                    WHERE queue_name > used.name ORDER BY queue_name LIMIT 1)
            FROM used WHERE used.name IS NOT NULL
        )
        SELECT name FROM used WHERE name IS NOT NULL AND name <> ALL(COALESCE(closed, '{}')));
END;
$$;

-- How many jobs of the queue run.
CREATE FUNCTION background_running_v1(queue text)
RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT count(*) FROM procrastinate_jobs WHERE status = 'doing' AND queue_name = queue
$$;
