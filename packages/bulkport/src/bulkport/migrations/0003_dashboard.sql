-- What the dashboard stores.

-- What operators did.
CREATE TABLE bulkport.audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor text NOT NULL,
    action text NOT NULL,
    target text NOT NULL,
    outcome text,  -- NULL: it is under way, or was broken off by the end of its server
    form text,  -- what identifies the form that asked for it: one form does one thing once
    led_to text  -- the page that shows more of it
);
CREATE UNIQUE INDEX audit_form ON bulkport.audit (form) WHERE form IS NOT NULL;

-- Operations of operators on all jobs that a list shows; each request carries out one step. See docs/adr/0013.
CREATE TABLE bulkport.bulk_operations (
    operation_id bigint PRIMARY KEY REFERENCES bulkport.audit (id) ON DELETE CASCADE,
    list text NOT NULL,
    filter text NOT NULL,  -- the query of the list's address
    begun_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    touched_at timestamptz NOT NULL DEFAULT clock_timestamp(),  -- when it was last gone on with
    jobs bigint NOT NULL,  -- that matched when it began, as far as they were counted
    is_more boolean NOT NULL,  -- there were more
    cursor text,  -- where its next step begins
    effects jsonb NOT NULL DEFAULT '{}',  -- what came of it for how many jobs
    state text NOT NULL DEFAULT 'going' CHECK (state IN ('going', 'stopped', 'ended'))
);

-- Groups of failures that are known, and are not to call for attention.
CREATE TABLE bulkport.muted_failures (
    task text NOT NULL,
    error_type text NOT NULL,
    message text NOT NULL,  -- what varies replaced by an ellipsis
    muted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    muted_by text NOT NULL,
    PRIMARY KEY (task, error_type, message)
);

-- Filters of the list of jobs that an operator gave a name.
CREATE TABLE bulkport.saved_views (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner text NOT NULL,
    name text NOT NULL,
    filter text NOT NULL,  -- the query of the list's address
    is_shared boolean NOT NULL,  -- everyone's list of views has it
    saved_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (owner, name)
);

-- Signed-in browsers. Only a digest of their cookie is stored.
CREATE TABLE bulkport.dashboard_sessions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token_digest bytea NOT NULL UNIQUE,
    way text NOT NULL CHECK (way IN ('link', 'openid', 'keys')),  -- how they signed in
    viewer text NOT NULL,
    role text NOT NULL CHECK (role IN ('operator', 'read-only')),
    begun_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),  -- to the minute
    expires_at timestamptz NOT NULL,
    address text,
    browser text
);
CREATE INDEX dashboard_sessions_expires_at ON bulkport.dashboard_sessions (expires_at);

-- Links that sign one browser in, once.
CREATE TABLE bulkport.dashboard_links (
    token_digest bytea PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
