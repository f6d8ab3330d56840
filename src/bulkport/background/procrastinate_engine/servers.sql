-- A row is a server's lease: while it stands, the jobs in 'doing' under its worker_id are that server's.
-- It is here and not in procrastinate_workers because deleting a row there rewrites every job, finished ones
-- included, that the worker ever ran (ON DELETE SET NULL without an index).
CREATE TABLE background_servers (
    worker_id bigint PRIMARY KEY REFERENCES procrastinate_workers (id) ON DELETE CASCADE,
    name text NOT NULL UNIQUE,
    host text NOT NULL,
    process_id integer NOT NULL,
    queues text[],  -- NULL: all queues
    concurrency integer NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    last_heartbeat timestamptz NOT NULL DEFAULT now()
);

-- Failed attempts by job: Procrastinate's own counter also counts returns to the queue that are no failures.
CREATE TABLE background_failures (
    job_id bigint PRIMARY KEY REFERENCES procrastinate_jobs (id) ON DELETE CASCADE,
    failures integer NOT NULL,
    error text NOT NULL,
    failed_at timestamptz NOT NULL
);
