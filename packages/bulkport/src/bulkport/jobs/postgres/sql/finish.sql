-- The end of runs.

-- Writes the outcomes of runs that have ended, all in one statement. An outcome is written only if the job is still this
-- very run's (worker and number of runs): neither a repeated statement (its first answer was lost) nor a worker that was
-- given up for dead may move a job that has gone on without it. Nor does it wait: a job whose row somebody else has
-- locked is 'locked' in the answer, and its outcome is sent again later.
--
-- Members of an outcome: job_id, runs (before this one), outcome ('succeeded', 'failed' for good, 'retry' after `delay`
-- seconds, 'again' as the task asked to run again after `delay`, 'handed_back' at a shutdown, 'lost', 'cancelled'),
-- seconds (how long it took by the worker's clock), result, note (kept in the history), error_type, error, traceback,
-- delay, priority (the new one). `entered` is the state that the job has entered; NULL: it was no longer this run's.
CREATE FUNCTION bulkport.finish(ended_by bigint, server_name text, outcomes json)
RETURNS TABLE (job_id bigint, entered text)
-- Planned anew for each array, it would take half as long again.
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    given bulkport.run_outcome[];
    held bigint[];
    good bulkport.run_outcome[];
    bad bulkport.run_outcome[];
BEGIN
    SELECT array_agg(item::bulkport.run_outcome) INTO given
    FROM json_populate_recordset(NULL::bulkport.run_outcome, outcomes) AS item;
    held := ARRAY(
        SELECT job.job_id FROM unnest(given) AS ended JOIN bulkport.jobs job ON job.job_id = ended.job_id
        WHERE job.state = 'processing' AND job.worker_id = ended_by AND job.runs = ended.runs
        FOR UPDATE OF job SKIP LOCKED);
    SELECT array_agg(ended) FILTER (WHERE ended.outcome = 'succeeded'),
           array_agg(ended) FILTER (WHERE ended.outcome <> 'succeeded')
    INTO good, bad FROM unnest(given) AS ended WHERE ended.job_id = ANY (held);
    IF good IS NOT NULL THEN
        PERFORM bulkport.end_well(good, server_name);
    END IF;
    IF bad IS NOT NULL THEN
        RETURN QUERY SELECT * FROM bulkport.end_badly(bad, server_name);
    END IF;
    RETURN QUERY
        SELECT ended.job_id,
               CASE WHEN ended.job_id = ANY (held) THEN 'succeeded'
                    WHEN EXISTS (
                        SELECT FROM bulkport.jobs job
                        WHERE job.job_id = ended.job_id AND job.state = 'processing' AND job.worker_id = ended_by
                          AND job.runs = ended.runs) THEN 'locked' END
        FROM unnest(given) AS ended
        WHERE ended.outcome = 'succeeded' OR ended.job_id <> ALL (held);
END;
$$;

CREATE TYPE bulkport.run_outcome AS (
    job_id bigint,
    runs integer,
    outcome text,
    seconds double precision,
    result jsonb,
    note text,
    error_type text,
    error text,
    traceback text,
    delay double precision,
    priority integer
);

-- What a finished job is found by.
CREATE FUNCTION bulkport.search_text(args jsonb, error_type text, error text)
RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN left(concat_ws(' ', args::text, NULLIF(concat_ws(': ', error_type, error), '')), 8000);
END;
$$;

-- Moves jobs that succeeded. The caller has locked their rows.
CREATE FUNCTION bulkport.end_well(ended bulkport.run_outcome[], server_name text)
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz := clock_timestamp();
    keys text[];
    batches bigint[];
    queues text[];
BEGIN
    WITH gone AS (
        DELETE FROM bulkport.jobs job USING unnest(ended) AS run WHERE job.job_id = run.job_id
        -- By their names: a column that a later version adds to the table must not meet one of these.
        RETURNING job.job_id, job.task, job.queue, job.priority, job.args, job.user_id, job.created_at, job.ready_at,
                  job.runs, job.failures, job.error_type, job.error, job.unique_key, job.concurrency_key,
                  job.concurrency_limit, job.rate_key, job.rate_limit, job.rate_seconds, job.batch_id, job.recurring_id,
                  job.origin_id, run.result, run.seconds, run.note,
                  moment - make_interval(secs => run.seconds) AS begun_at
    ), inserted AS (
        INSERT INTO bulkport.finished_jobs (
            job_id, task, queue, priority, state, args, user_id, created_at, ready_at, started_at, finished_at, runs,
            failures, server, error_type, error, result, unique_key, concurrency_key, concurrency_limit, rate_key,
            rate_limit, rate_seconds, batch_id, recurring_id, origin_id, search_text)
        SELECT job_id, task, queue, priority, 'succeeded', args, user_id, created_at, ready_at, begun_at, moment,
               runs + 1, failures, server_name, error_type, error, result, unique_key, concurrency_key,
               concurrency_limit, rate_key, rate_limit, rate_seconds, batch_id, recurring_id, origin_id,
               bulkport.search_text(args, error_type, error)
        FROM gone
    ), counted AS (
        INSERT INTO bulkport.job_deltas (at, task, queue, left_state, entered_state, jobs, durations_ms, latencies_ms)
        SELECT moment, task, queue, 'enqueued', 'succeeded', count(*), array_agg(seconds * 1000),
               array_agg(GREATEST(extract(epoch FROM begun_at - ready_at) * 1000, 0))
        FROM gone GROUP BY task, queue
    ), noted AS (
        INSERT INTO bulkport.job_history (job_id, at, state, reason)
        SELECT job_id, moment, 'succeeded', note FROM gone WHERE note IS NOT NULL
    )
    SELECT array_agg(concurrency_key) FILTER (WHERE concurrency_key IS NOT NULL),
           array_agg(DISTINCT batch_id) FILTER (WHERE batch_id IS NOT NULL), array_agg(DISTINCT queue)
    INTO keys, batches, queues FROM gone;
    PERFORM bulkport.after_end(ARRAY(SELECT job_id FROM unnest(ended)), keys, batches, queues);
END;
$$;

-- Ends runs that did not succeed. The caller has locked the rows of their jobs. With `seconds` NULL only the row knows
-- when the run began: then the worker died. `entered` is 'locked' where a stranger may have taken the unique key.
CREATE FUNCTION bulkport.end_badly(ended bulkport.run_outcome[], server_name text)
RETURNS TABLE (job_id bigint, entered text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    moment timestamptz := clock_timestamp();
    run record;
    finals bigint[] := '{}';
    keys text[] := '{}';
    batches bigint[] := '{}';
    queues text[] := '{}';
    soonest double precision;
BEGIN
    FOR run IN
        SELECT job.job_id, job.task, job.queue, job.priority, job.user_id, job.ready_at, job.runs, job.failures,
               job.lost_runs, job.server, job.error_type, job.error, job.unique_key, job.concurrency_key, job.batch_id,
               given.note, given.delay, given.priority AS new_priority, given.traceback,
               given.error_type AS new_error_type, given.error AS new_error,
               given.outcome IN ('failed', 'retry') AS is_failure,
               CASE WHEN job.cancel_requested AND given.outcome IN ('retry', 'again', 'handed_back', 'lost')
                    THEN 'cancelled' ELSE given.outcome END AS outcome,
               CASE WHEN given.seconds IS NULL THEN job.started_at
                    ELSE moment - make_interval(secs => given.seconds) END AS begun_at
        FROM unnest(ended) AS given JOIN bulkport.jobs job ON job.job_id = given.job_id
        ORDER BY job.job_id
    LOOP
        job_id := run.job_id;
        entered := CASE WHEN run.outcome IN ('failed', 'cancelled') THEN run.outcome
                        WHEN run.outcome = 'retry' THEN 'retrying'
                        WHEN run.delay > 0 THEN 'scheduled'
                        ELSE 'enqueued' END;
        IF run.unique_key IS NOT NULL AND entered NOT IN ('failed', 'cancelled')
            AND NOT bulkport.take_key_again(job_id, run.unique_key, entered::bulkport.job_state, moment)
        THEN
            entered := 'locked';
            RETURN NEXT;
            CONTINUE;
        END IF;
        INSERT INTO bulkport.job_runs (
            job_id, run, outcome, server, started_at, ended_at, error_type, error, traceback, retry_at)
        VALUES (
            run.job_id, run.runs + 1, CASE run.outcome WHEN 'retry' THEN 'failed' ELSE run.outcome END, server_name,
            run.begun_at, moment, run.new_error_type, run.new_error, run.traceback,
            CASE WHEN entered IN ('retrying', 'scheduled') THEN moment + make_interval(secs => run.delay) END);
        UPDATE bulkport.jobs SET
            state = CASE WHEN entered IN ('failed', 'cancelled') THEN state ELSE entered::bulkport.job_state END,
            priority = COALESCE(run.new_priority, run.priority),
            -- A job that yielded gets a new turn; an interrupted one has kept its turn.
            fair_at = CASE WHEN run.outcome = 'again' THEN
                bulkport.next_turn(run.queue, COALESCE(run.new_priority, run.priority), run.user_id) ELSE fair_at END,
            ready_at = CASE entered WHEN 'enqueued' THEN moment
                WHEN 'retrying' THEN moment + make_interval(secs => run.delay)
                WHEN 'scheduled' THEN moment + make_interval(secs => run.delay) ELSE ready_at END,
            due_at = CASE WHEN entered IN ('retrying', 'scheduled') THEN moment + make_interval(secs => run.delay) END,
            started_at = run.begun_at,
            runs = run.runs + 1,
            failures = run.failures + run.is_failure::integer,
            lost_runs = run.lost_runs + (run.outcome = 'lost')::integer,
            rate_reserved = false,
            worker_id = NULL,
            server = COALESCE(server_name, run.server),
            error_type = CASE WHEN run.is_failure THEN run.new_error_type ELSE run.error_type END,
            error = CASE WHEN run.is_failure THEN run.new_error ELSE run.error END
        WHERE job_id = run.job_id;
        INSERT INTO bulkport.job_deltas (at, task, queue, left_state, entered_state, jobs, durations_ms, latencies_ms)
        VALUES (
            moment, run.task, run.queue, 'enqueued', entered::bulkport.job_state, 1,
            CASE WHEN run.outcome <> 'lost' THEN ARRAY[extract(epoch FROM moment - run.begun_at) * 1000] END,
            ARRAY[GREATEST(extract(epoch FROM run.begun_at - run.ready_at) * 1000, 0)]);
        INSERT INTO bulkport.job_history (job_id, at, state, reason)
        SELECT run.job_id, moment, entered::bulkport.job_state, said.reason
        FROM (VALUES (CASE WHEN run.outcome = 'cancelled'
                           THEN COALESCE(run.new_error, 'it was stopped while it ran') END), (run.note)) AS said (reason)
        WHERE said.reason IS NOT NULL;
        IF run.outcome = 'again' AND run.runs >= 1000 AND run.runs % 100 = 0 THEN
            PERFORM bulkport.forget_waits(run.job_id, run.runs - 900);
        END IF;
        IF entered IN ('failed', 'cancelled') THEN
            finals := finals || run.job_id;
            batches := CASE WHEN run.batch_id IS NULL THEN batches ELSE batches || run.batch_id END;
        ELSIF entered = 'enqueued' THEN
            PERFORM pg_notify('bulkport.jobs', 'queue ' || run.queue);
        ELSE
            soonest := LEAST(soonest, run.delay);
        END IF;
        keys := CASE WHEN run.concurrency_key IS NULL THEN keys ELSE keys || run.concurrency_key END;
        queues := queues || run.queue;
        RETURN NEXT;
    END LOOP;
    PERFORM bulkport.move_finished(ARRAY(
        SELECT last.job_id FROM bulkport.job_runs last JOIN bulkport.jobs job
          ON job.job_id = last.job_id AND job.runs = last.run
        WHERE last.job_id = ANY (finals) AND last.outcome = said.outcome), said.outcome::bulkport.job_state, moment)
    FROM (VALUES ('failed'), ('cancelled')) AS said (outcome) WHERE cardinality(finals) > 0;
    IF soonest IS NOT NULL THEN
        PERFORM bulkport.notify_workers('due', soonest::text);
    END IF;
    PERFORM bulkport.after_end(finals, keys, batches, queues);
END;
$$;

-- Has a running job that is to wait again take its unique key, which was free while it ran. If another job waits under
-- it by now, this one goes on without: its attempts are not lost. False: a transaction that has not ended may have taken
-- the key; nobody waits for that.
CREATE FUNCTION bulkport.take_key_again(id bigint, key text, entered bulkport.job_state, moment timestamptz)
RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    usual text := current_setting('lock_timeout');
BEGIN
    PERFORM set_config('lock_timeout', '10ms', true);
    UPDATE bulkport.jobs SET state = entered WHERE job_id = id;
    PERFORM set_config('lock_timeout', usual, true);
    RETURN true;
EXCEPTION
    WHEN unique_violation THEN
        UPDATE bulkport.jobs SET unique_key = NULL WHERE job_id = id;
        INSERT INTO bulkport.job_history (job_id, at, state, reason)
        VALUES (id, moment, entered, 'another job waits under its unique key ' || key);
        RETURN true;
    WHEN lock_not_available THEN
        RETURN false;
END;
$$;

-- Moves jobs, whose rows the caller has locked, to the finished ones.
CREATE FUNCTION bulkport.move_finished(ids bigint[], final_state bulkport.job_state, moment timestamptz)
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    WITH gone AS (DELETE FROM bulkport.jobs WHERE job_id = ANY (ids) RETURNING *)
    INSERT INTO bulkport.finished_jobs (
        job_id, task, queue, priority, state, args, user_id, created_at, ready_at, started_at, finished_at, runs,
        failures, server, error_type, error, unique_key, concurrency_key, concurrency_limit, rate_key, rate_limit,
        rate_seconds, batch_id, recurring_id, origin_id, search_text)
    SELECT job_id, task, queue, priority, final_state, args, user_id, created_at, ready_at, started_at, moment, runs,
           failures, server, error_type, error, unique_key, concurrency_key, concurrency_limit, rate_key, rate_limit,
           rate_seconds, batch_id, recurring_id, origin_id, bulkport.search_text(args, error_type, error)
    FROM gone;
END;
$$;

-- What hangs on runs that have ended: free slots, continuations, batches, queues with a limit.
CREATE FUNCTION bulkport.after_end(finals bigint[], keys text[], batches bigint[], queues text[])
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('bulkport.jobs', 'queue ' || known.name)
    FROM bulkport.queues known WHERE known.name = ANY (queues) AND known.concurrency_limit IS NOT NULL;
    IF cardinality(finals) > 0 AND EXISTS (
        SELECT FROM bulkport.job_continuations link WHERE link.parent_id = ANY (finals) AND NOT link.settled)
    THEN
        PERFORM bulkport.settle(bulkport.mark_ended(finals));
    END IF;
    IF cardinality(batches) > 0 THEN
        -- They end in a transaction of their own, which sees the ends of all their jobs; see settle_batches.
        PERFORM bulkport.notify_workers('batches', array_to_string(batches, ','));
    END IF;
    IF cardinality(keys) > 0 THEN
        PERFORM bulkport.unpark(keys);
    END IF;
END;
$$;

-- A task may ask to run again for as long as it likes, say to look for something every second. Of these runs, and of its
-- returns from the waits between them, those up to a run are forgotten.
CREATE FUNCTION bulkport.forget_waits(waiting_id bigint, last_run integer)
RETURNS void
LANGUAGE sql AS $$
    DELETE FROM bulkport.job_history
    WHERE job_id = waiting_id AND actor IS NULL AND reason = 'its time came'
      AND at < (SELECT max(ended_at) FROM bulkport.job_runs WHERE job_id = waiting_id AND run <= last_run);
    DELETE FROM bulkport.job_runs
    WHERE job_id = waiting_id AND run <= last_run AND outcome = 'again' AND error_type IS NULL;
$$;

-- Puts the jobs back in their queues that nobody runs any more: those in 'processing' without a lease. Safe when several
-- servers do it at once: a job that another one is just putting back is skipped.
CREATE FUNCTION bulkport.rescue()
RETURNS TABLE (job_id bigint, lost_worker_id bigint, server text, entered text)
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
    orphan record;
BEGIN
    FOR orphan IN
        -- From one worker to the next, so that no job of a living one is read.
        WITH RECURSIVE owner AS (
            SELECT min(job.worker_id) AS worker_id FROM bulkport.jobs job WHERE job.state = 'processing'
            UNION ALL
            SELECT (SELECT min(job.worker_id) FROM bulkport.jobs job
                    WHERE job.state = 'processing' AND job.worker_id > owner.worker_id)
            FROM owner WHERE owner.worker_id IS NOT NULL
        ), gone AS MATERIALIZED (
            SELECT owner.worker_id FROM owner WHERE owner.worker_id IS NOT NULL
              AND NOT EXISTS (SELECT FROM bulkport.servers living WHERE living.worker_id = owner.worker_id)
        )
        SELECT job.job_id, job.runs, job.worker_id FROM bulkport.jobs job
        WHERE job.state = 'processing' AND job.worker_id IN (SELECT worker_id FROM gone)
        ORDER BY job.job_id FOR UPDATE OF job SKIP LOCKED
    LOOP
        lost_worker_id := orphan.worker_id;
        server := (SELECT gone.name FROM bulkport.lost_servers gone WHERE gone.worker_id = orphan.worker_id);
        SELECT lost.job_id, lost.entered INTO job_id, entered
        FROM bulkport.end_badly(ARRAY[ROW(
            orphan.job_id, orphan.runs, 'lost', NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL)::bulkport.run_outcome],
            server) AS lost;
        IF entered <> 'locked' THEN
            RETURN NEXT;
        END IF;
    END LOOP;
END;
$$;
