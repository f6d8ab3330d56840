-- The end of a run.

-- Writes a run's outcome, if the job is still this very run's: neither a repeated statement (its first answer was
-- lost) nor a worker that was given up for dead may move a job that has gone on without it.
--
-- run_outcome: 'succeeded', 'failed' (for good), 'retry' (failed, to be tried again after `delay` seconds), 'again' (it
-- asked to run again, after `delay`), 'handed_back' (at a shutdown), 'lost' or 'cancelled'. `seconds` is how long it
-- took by the worker's clock. `note` is kept in the history. Returns the state that the job has entered; NULL: the job
-- was no longer this run's, and nothing was written.
CREATE FUNCTION background_end_run_v1(
    ended_id bigint, fence_worker bigint, fence_attempts integer, run_outcome text, server_name text,
    seconds double precision, run_result jsonb DEFAULT NULL, note text DEFAULT NULL, run_error_type text DEFAULT NULL,
    run_error text DEFAULT NULL, run_traceback text DEFAULT NULL, delay double precision DEFAULT 0,
    new_priority integer DEFAULT NULL
)
RETURNS background_job_state
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    ended_at timestamptz;
    begun_at timestamptz;
    is_asked_to_stop boolean;
    entered background_job_state;
    job record;
BEGIN
    SELECT abort_requested INTO is_asked_to_stop FROM procrastinate_jobs
    WHERE id = ended_id AND status = 'doing' AND worker_id = fence_worker AND attempts = fence_attempts
    FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    ended_at := clock_timestamp();
    begun_at := ended_at - make_interval(secs => seconds);
    IF run_outcome = 'succeeded' THEN
        entered := 'succeeded';
        PERFORM procrastinate_finish_job_v1(ended_id, 'succeeded', true);
        UPDATE background_jobs SET
            state = 'succeeded', started_at = begun_at, finished_at = ended_at, runs = runs + 1, server = server_name,
            result = run_result, due_at = NULL, search_text = background_search_text_v1(args, concat_ws(': ', error_type, error))
        WHERE job_id = ended_id
        RETURNING task, queue, ready_at, has_children, batch_id, concurrency_key INTO job;
        IF FOUND THEN
            INSERT INTO background_deltas (
                at, task, queue, left_state, entered_state, jobs, duration_ms, latency_ms)
            VALUES (
                ended_at, job.task, job.queue, 'enqueued', 'succeeded', 1, seconds * 1000,
                GREATEST(extract(epoch FROM begun_at - job.ready_at) * 1000, 0));
            IF job.has_children OR job.batch_id IS NOT NULL OR job.concurrency_key IS NOT NULL THEN
                PERFORM background_after_end_v1(ended_id, 'succeeded');
            END IF;
        END IF;
    ELSE
        entered := background_end_badly_v1(
            ended_id, is_asked_to_stop, run_outcome, server_name, begun_at, ended_at, run_error_type, run_error,
            run_traceback, delay, new_priority);
    END IF;
    IF note IS NOT NULL THEN
        INSERT INTO background_history (job_id, at, state, reason) VALUES (ended_id, ended_at, entered, note);
    END IF;
    PERFORM background_announce_if_limited_v1(ended_id);
    RETURN entered;
END;
$$;

-- What a finished job is found by.
CREATE FUNCTION background_search_text_v1(args jsonb, error text)
RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT left(concat_ws(' ', args::text, NULLIF(error, '')), 8000)
$$;

-- The end of a run that did not succeed. Procrastinate's row is locked by the caller. `begun_at` is NULL when only the
-- row of events tells: then the worker died.
CREATE FUNCTION background_end_badly_v1(
    ended_id bigint, is_asked_to_stop boolean, run_outcome text, server_name text, begun_at timestamptz,
    ended_at timestamptz, run_error_type text, run_error text, run_traceback text, delay double precision,
    new_priority integer
)
RETURNS background_job_state
LANGUAGE plpgsql AS $$
DECLARE
    job background_jobs;
    outcome text := CASE
        WHEN is_asked_to_stop AND run_outcome IN ('retry', 'again', 'handed_back', 'lost') THEN 'cancelled'
        ELSE run_outcome END;
    is_failure boolean := run_outcome IN ('failed', 'retry');
    entered background_job_state;
    due timestamptz;
BEGIN
    entered := CASE
        WHEN outcome IN ('failed', 'cancelled') THEN outcome
        WHEN outcome = 'retry' THEN 'retrying'
        WHEN delay > 0 THEN 'scheduled'
        ELSE 'enqueued' END::background_job_state;
    IF entered IN ('retrying', 'scheduled') THEN
        due := ended_at + make_interval(secs => delay);
    END IF;
    SELECT * INTO job FROM background_jobs WHERE job_id = ended_id FOR UPDATE;
    IF entered <> 'enqueued' THEN
        PERFORM procrastinate_finish_job_v1(ended_id, 'failed', false);
    ELSE
        PERFORM procrastinate_retry_job_v2(ended_id, NULL, new_priority, NULL, NULL);
        PERFORM background_announce_v1(job.queue);
    END IF;
    IF job.job_id IS NULL THEN
        RETURN entered;
    END IF;
    IF outcome = 'lost' OR begun_at IS NULL THEN
        SELECT max(at) INTO begun_at FROM procrastinate_events event
        WHERE event.job_id = ended_id AND event.type = 'started';
    END IF;
    INSERT INTO background_runs (
        job_id, run, outcome, server, started_at, ended_at, error_type, error, traceback, retry_at)
    VALUES (
        ended_id, job.runs + 1, CASE outcome WHEN 'retry' THEN 'failed' ELSE outcome END, server_name, begun_at,
        ended_at, run_error_type, run_error, run_traceback, due);
    UPDATE background_jobs SET
        state = entered,
        priority = COALESCE(new_priority, priority),
        ready_at = CASE entered WHEN 'enqueued' THEN ended_at ELSE COALESCE(due, ready_at) END,
        due_at = due,
        started_at = begun_at,
        finished_at = CASE WHEN entered IN ('failed', 'cancelled') THEN ended_at END,
        runs = runs + 1,
        failures = failures + is_failure::integer,
        server = COALESCE(server_name, server),
        error_type = CASE WHEN is_failure THEN run_error_type ELSE error_type END,
        error = CASE WHEN is_failure THEN run_error ELSE error END,
        search_text = CASE WHEN entered IN ('failed', 'cancelled') THEN background_search_text_v1(
            args, CASE WHEN is_failure THEN concat_ws(': ', run_error_type, run_error)
                       ELSE concat_ws(': ', error_type, error) END) END
    WHERE job_id = ended_id;
    INSERT INTO background_deltas (at, task, queue, left_state, entered_state, jobs, duration_ms, latency_ms)
    VALUES (
        ended_at, job.task, job.queue, 'enqueued', entered, 1,
        CASE WHEN outcome <> 'lost' THEN extract(epoch FROM ended_at - begun_at) * 1000 END,
        GREATEST(extract(epoch FROM begun_at - job.ready_at) * 1000, 0));
    IF outcome = 'again' AND job.runs >= 1000 AND job.runs % 100 = 0 THEN
        PERFORM background_forget_waits_v1(ended_id, job.runs - 900);
    END IF;
    IF outcome = 'cancelled' THEN
        INSERT INTO background_history (job_id, at, state, reason)
        VALUES (ended_id, ended_at, entered, COALESCE(run_error, 'it was stopped while it ran'));
    END IF;
    IF job.concurrency_key IS NOT NULL AND (entered <> 'enqueued' OR outcome = 'again')
        OR entered IN ('failed', 'cancelled') AND (job.has_children OR job.batch_id IS NOT NULL)
    THEN
        PERFORM background_after_end_v1(ended_id, entered);
    END IF;
    RETURN entered;
END;
$$;

-- A task may ask to run again for as long as it likes, say to look for something every second. Of these runs, and of its
-- returns from the waits between them, those up to a run are forgotten; claims would read them all.
CREATE FUNCTION background_forget_waits_v1(waiting_id bigint, last_run integer)
RETURNS void
LANGUAGE sql AS $$
    DELETE FROM background_history
    WHERE job_id = waiting_id AND actor IS NULL AND reason = 'its time came'
      AND at < (SELECT max(ended_at) FROM background_runs WHERE job_id = waiting_id AND run <= last_run);
    DELETE FROM background_runs
    WHERE job_id = waiting_id AND run <= last_run AND outcome = 'again' AND error_type IS NULL;
$$;

-- A run that ended in a queue with a limit has made room there.
CREATE FUNCTION background_announce_if_limited_v1(ended_id bigint)
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM background_queues WHERE concurrency_limit IS NOT NULL) THEN
        PERFORM background_announce_v1(job.queue)
        FROM background_jobs job JOIN background_queues queue ON queue.name = job.queue
        WHERE job.job_id = ended_id AND queue.concurrency_limit IS NOT NULL;
    END IF;
END;
$$;

-- Puts the jobs back in their queues that nobody runs any more: those in 'doing' without a lease.
--
-- Safe when several servers do it at once: a job that another one is just putting back is skipped, and one that has
-- been put back is no longer the same run when its lock is had. (The run is compared and not only the status: a third
-- server may hold the job by then, one whose lease is younger than this statement's snapshot.)
CREATE FUNCTION background_rescue_v1()
RETURNS TABLE (job_id bigint, lost_worker_id bigint, server text, entered background_job_state)
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
    orphan record;
BEGIN
    FOR orphan IN
        WITH lost AS MATERIALIZED (
            SELECT id, worker_id, attempts FROM procrastinate_jobs job
            WHERE status = 'doing'
              AND NOT EXISTS (SELECT FROM background_servers server WHERE server.worker_id = job.worker_id)
        )
        SELECT job.id, job.worker_id, job.abort_requested
        FROM procrastinate_jobs job JOIN lost USING (id)
        WHERE job.status = 'doing' AND job.attempts = lost.attempts
          AND job.worker_id IS NOT DISTINCT FROM lost.worker_id
        FOR UPDATE OF job SKIP LOCKED
    LOOP
        job_id := orphan.id;
        lost_worker_id := orphan.worker_id;
        server := (SELECT name FROM background_lost_servers gone WHERE gone.worker_id = orphan.worker_id);
        entered := background_end_badly_v1(
            orphan.id, orphan.abort_requested, 'lost', server, NULL, clock_timestamp(), NULL, NULL, NULL, 0, NULL);
        PERFORM background_announce_if_limited_v1(orphan.id);
        RETURN NEXT;
    END LOOP;
END;
$$;
