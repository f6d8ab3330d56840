-- Removes the tables of background jobs with every job in them, and every function of the schema: those of later
-- migrations are gone by now.

DO $$
DECLARE
    home oid := (SELECT relnamespace FROM pg_class WHERE oid = 'bulkport.migrations'::regclass);
    routine regprocedure;
BEGIN
    DROP VIEW IF EXISTS bulkport.all_jobs;
    DROP TABLE IF EXISTS bulkport.jobs, bulkport.finished_jobs, bulkport.job_runs, bulkport.job_history, bulkport.job_progress,
        bulkport.job_logs, bulkport.job_batches, bulkport.job_continuations, bulkport.queues, bulkport.paused_tasks, bulkport.queue_clocks,
        bulkport.rate_limits, bulkport.unique_keys, bulkport.servers, bulkport.server_commands, bulkport.job_stacks, bulkport.lost_servers,
        bulkport.recurring_jobs,
        bulkport.job_tags, bulkport.job_deltas, bulkport.job_counts, bulkport.job_series,
        bulkport.server_series, bulkport.signing_keys CASCADE;
    -- One may go along with another.
    FOR routine IN SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = home LOOP
        IF EXISTS (SELECT FROM pg_proc WHERE oid = routine) THEN
            EXECUTE 'DROP ROUTINE ' || routine || ' CASCADE';
        END IF;
    END LOOP;
    DROP TYPE IF EXISTS bulkport.new_job, bulkport.run_outcome, bulkport.held_job, bulkport.job_state;
END;
$$;
