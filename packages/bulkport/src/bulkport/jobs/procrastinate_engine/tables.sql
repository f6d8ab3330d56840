-- What Bulkport keeps of background jobs beside Procrastinate's tables. See docs/adr/0011.

CREATE EXTENSION IF NOT EXISTS pg_trgm;

-- A row is a server's lease: while it stands, the jobs in 'doing' under its worker_id are that server's.
-- It is here and not in procrastinate_workers because deleting a row there rewrites every job, finished ones
-- included, that the worker ever ran (ON DELETE SET NULL without an index).
CREATE TABLE background_servers (
    worker_id bigint PRIMARY KEY REFERENCES procrastinate_workers (id) ON DELETE CASCADE,
    name text NOT NULL UNIQUE,
    host text NOT NULL,
    process_id integer NOT NULL,
    version text NOT NULL,  -- of Bulkport
    queues text[],  -- NULL: all queues
    concurrency integer NOT NULL,
    memory_bytes bigint,  -- resident, at the last heartbeat; NULL: the platform does not tell
    started_at timestamptz NOT NULL DEFAULT now(),
    last_heartbeat timestamptz NOT NULL DEFAULT now()
);

-- Servers that lost their lease without giving it back, for 30 days: the names in the history of their jobs.
CREATE TABLE background_lost_servers (
    worker_id bigint PRIMARY KEY,
    name text NOT NULL,
    host text NOT NULL,
    process_id integer NOT NULL,
    started_at timestamptz NOT NULL,
    last_heartbeat timestamptz NOT NULL,
    lost_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TYPE background_job_state AS ENUM (
    'enqueued',   -- waiting in its queue, or running: Procrastinate's status tells which
    'scheduled',  -- waiting for its time
    'awaiting',   -- waiting for other jobs to end
    'retrying',   -- an attempt failed; waiting for the next one
    'succeeded',
    'failed',
    'cancelled'
);

-- One row a job, from its enqueueing to its pruning.
CREATE TABLE background_jobs (
    job_id bigint PRIMARY KEY,
    task text NOT NULL,
    queue text NOT NULL,
    priority integer NOT NULL,
    state background_job_state NOT NULL,
    parked boolean NOT NULL DEFAULT false,  -- 'enqueued', but held back until its concurrency key has a free slot
    has_children boolean NOT NULL DEFAULT false,  -- some continuation waits for this job
    args jsonb NOT NULL,
    user_id text,
    created_at timestamptz NOT NULL,
    ready_at timestamptz NOT NULL,  -- since when it may run; latency is measured from here
    due_at timestamptz,  -- when it becomes ready, for 'scheduled' and 'retrying'
    started_at timestamptz,  -- of the last run that ended
    finished_at timestamptz,
    runs integer NOT NULL DEFAULT 0,  -- runs that have ended, whatever their outcome
    failures integer NOT NULL DEFAULT 0,  -- runs that ended in an error since it was last requeued
    server text,  -- name of the server of the last run that ended
    error_type text,
    error text,  -- message of the last error, at most 4000 characters
    result jsonb,
    unique_key text,
    concurrency_key text,
    concurrency_limit integer,
    batch_id bigint,
    parents_left integer NOT NULL DEFAULT 0,
    recurring_id text,
    origin_id bigint,  -- the job that this one repeats
    search_text text  -- arguments and error of a finished job; NULL while it is not finished, to spare the index
) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX background_jobs_state ON background_jobs (state, created_at, job_id);
CREATE INDEX background_jobs_task ON background_jobs (task, state, created_at, job_id);
CREATE INDEX background_jobs_user ON background_jobs (user_id, state, created_at, job_id) WHERE user_id IS NOT NULL;
CREATE INDEX background_jobs_finished ON background_jobs (state, finished_at, job_id) WHERE finished_at IS NOT NULL;
CREATE INDEX background_jobs_duration ON background_jobs (state, COALESCE(finished_at - started_at, interval '0'), job_id)
    WHERE finished_at IS NOT NULL;
CREATE INDEX background_jobs_error_type ON background_jobs (error_type, state, created_at, job_id)
    WHERE error_type IS NOT NULL;
CREATE INDEX background_jobs_origin ON background_jobs (origin_id) WHERE origin_id IS NOT NULL;
CREATE INDEX background_jobs_queue ON background_jobs (queue, state, created_at, job_id);
CREATE INDEX background_jobs_due ON background_jobs (due_at) WHERE state IN ('scheduled', 'retrying');
CREATE INDEX background_jobs_due_by_state ON background_jobs (state, due_at, job_id)
    WHERE due_at IS NOT NULL AND state IN ('scheduled', 'retrying');
CREATE INDEX background_jobs_parked ON background_jobs (concurrency_key, priority DESC, job_id) WHERE parked;
CREATE INDEX background_jobs_batch ON background_jobs (batch_id, state, created_at, job_id) WHERE batch_id IS NOT NULL;
CREATE INDEX background_jobs_recurring ON background_jobs (recurring_id, job_id) WHERE recurring_id IS NOT NULL;
CREATE UNIQUE INDEX background_jobs_unique_key ON background_jobs (unique_key)
    WHERE unique_key IS NOT NULL AND state IN ('enqueued', 'scheduled', 'awaiting', 'retrying');
CREATE INDEX background_jobs_search ON background_jobs USING gin (search_text gin_trgm_ops)
    WHERE search_text IS NOT NULL;

-- A run that ended in anything but success. The successful one is in background_jobs itself.
CREATE TABLE background_runs (
    job_id bigint NOT NULL,
    run integer NOT NULL,  -- 1-based, counting every run
    outcome text NOT NULL,  -- failed, again (the task asked to run again), handed_back (shutdown), lost (its server died), cancelled, succeeded (of a deleted job)
    server text,
    started_at timestamptz,
    ended_at timestamptz NOT NULL,
    error_type text,
    error text,
    traceback text,
    retry_at timestamptz,
    PRIMARY KEY (job_id, run)
);

-- What happened to a job between runs: requeued, cancelled, rescheduled, released, …; with its reason and who did it.
CREATE TABLE background_history (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    state background_job_state NOT NULL,  -- what it became
    reason text NOT NULL,
    actor text
);
CREATE INDEX background_history_job ON background_history (job_id, id);

CREATE TABLE background_progress (
    job_id bigint PRIMARY KEY,
    done bigint,
    total bigint,
    message text,
    checkpoint jsonb,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 70);

CREATE TABLE background_logs (
    job_id bigint NOT NULL,
    line integer NOT NULL,  -- 1-based
    run integer NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    level text NOT NULL,
    message text NOT NULL,
    PRIMARY KEY (job_id, line)
);

CREATE TABLE background_batches (
    batch_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    description text,
    user_id text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    sealed boolean NOT NULL DEFAULT false,  -- no job is added any more; only then can it end
    abandoned boolean NOT NULL DEFAULT false,  -- retention sealed it, as whoever made it never did
    finished_at timestamptz
);
CREATE INDEX background_batches_open ON background_batches (batch_id) WHERE finished_at IS NULL;

-- What is left of a batch, in sixteen shares by job id, so that its jobs do not queue up behind one row when they end.
CREATE TABLE background_batch_shares (
    batch_id bigint NOT NULL,
    share smallint NOT NULL,
    jobs integer NOT NULL,
    unfinished integer NOT NULL,
    unsuccessful integer NOT NULL DEFAULT 0,
    PRIMARY KEY (batch_id, share)
) WITH (fillfactor = 50);

-- A job that waits for another one, or for a batch.
CREATE TABLE background_continuations (
    child_id bigint NOT NULL,
    parent_id bigint,
    batch_id bigint,
    on_outcome text NOT NULL CHECK (on_outcome IN ('succeeded', 'failed', 'finished')),
    settled boolean NOT NULL DEFAULT false,  -- the child waits for it no more
    CHECK (num_nonnulls(parent_id, batch_id) = 1)
);
CREATE INDEX background_continuations_child ON background_continuations (child_id);
CREATE INDEX background_continuations_parent ON background_continuations (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX background_continuations_batch ON background_continuations (batch_id) WHERE batch_id IS NOT NULL;

CREATE TABLE background_queues (
    name text PRIMARY KEY,
    paused_at timestamptz,
    paused_by text,
    changed_at timestamptz,  -- when it was last paused, resumed or limited, and by whom
    changed_by text,
    concurrency_limit integer CHECK (concurrency_limit > 0)
);
CREATE INDEX background_queues_restrained ON background_queues (name)
    WHERE paused_at IS NOT NULL OR concurrency_limit IS NOT NULL;

-- Slots of a concurrency key that are taken by jobs in Procrastinate's queue, waiting or running.
CREATE TABLE background_keys (
    concurrency_key text PRIMARY KEY,
    taken integer NOT NULL,
    concurrency_limit integer NOT NULL  -- of the job enqueued last
) WITH (fillfactor = 50);

CREATE TABLE background_recurring (
    recurring_id text PRIMARY KEY,
    task text NOT NULL,
    args jsonb NOT NULL,
    queue text NOT NULL,
    priority integer NOT NULL DEFAULT 0,
    cron text NOT NULL,
    timezone text NOT NULL,
    missed text NOT NULL CHECK (missed IN ('skip', 'once', 'all')),
    user_id text,
    concurrency_key text,
    concurrency_limit integer,
    overlap boolean NOT NULL,  -- whether a run may start while the one before still runs
    in_code boolean NOT NULL DEFAULT false,  -- declared in code: comes back when a worker starts
    paused_at timestamptz,
    next_at timestamptz,  -- NULL: never again
    last_at timestamptz,  -- the tick last acted on
    last_job_id bigint,
    last_note text,  -- why the last tick made no job, if it made none
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX background_recurring_next ON background_recurring (next_at) WHERE paused_at IS NULL;

-- Changes of state that are not in the counts yet. Written with the change, moved by background_rollup_v1.
CREATE TABLE background_deltas (
    at timestamptz NOT NULL,
    task text NOT NULL,
    queue text NOT NULL,
    left_state background_job_state,  -- NULL: the job is new
    entered_state background_job_state,  -- NULL: the job is pruned
    jobs integer NOT NULL,
    duration_ms real,  -- of a run that ended: how long it took
    latency_ms real  -- and how long the job had been ready when it began
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_insert_threshold = -1);

CREATE TABLE background_counts (
    task text NOT NULL,
    queue text NOT NULL,
    state background_job_state NOT NULL,
    jobs bigint NOT NULL,
    PRIMARY KEY (task, queue, state)
) WITH (fillfactor = 50);

CREATE TABLE background_series (
    granularity text NOT NULL,  -- second, minute, hour, day (UTC); all: since the beginning
    starts_at timestamptz NOT NULL,
    task text NOT NULL,
    succeeded bigint NOT NULL DEFAULT 0,
    failed bigint NOT NULL DEFAULT 0,
    retried bigint NOT NULL DEFAULT 0,  -- failed attempts that were followed by another
    cancelled bigint NOT NULL DEFAULT 0,
    enqueued bigint NOT NULL DEFAULT 0,  -- new jobs
    durations integer[],  -- runs by duration, as a histogram: see rollup.sql
    latencies integer[],
    PRIMARY KEY (granularity, starts_at, task)
) WITH (fillfactor = 50);
