DROP TABLE IF EXISTS background_batch_shares, background_batches, background_continuations,
    background_counts, background_deltas, background_history, background_jobs, background_keys, background_logs,
    background_lost_servers, background_progress, background_queues, background_recurring, background_runs, background_series,
    background_servers;
DROP TABLE IF EXISTS procrastinate_periodic_defers, procrastinate_events, procrastinate_jobs, procrastinate_workers CASCADE;
DO $$
DECLARE
    routine regprocedure;
BEGIN
    FOR routine IN
        SELECT oid::regprocedure FROM pg_proc
        WHERE pronamespace = current_schema()::regnamespace
          AND (starts_with(proname, 'procrastinate_') OR starts_with(proname, 'background_'))
    LOOP
        EXECUTE 'DROP FUNCTION ' || routine || ' CASCADE';
    END LOOP;
END;
$$;
DROP TYPE IF EXISTS procrastinate_job_to_defer_v1, procrastinate_job_event_type, procrastinate_job_status,
    background_new_job, background_job_state;
