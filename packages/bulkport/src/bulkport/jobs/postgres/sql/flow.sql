-- What waits for other jobs: continuations and batches.
--
-- The end of a parent marks its links (job_continuations.outcome) in the transaction of that end. Then links that are
-- marked are settled: their children start, or are cancelled. A child whose row somebody else has locked is left with
-- its marked links; workers look for those every second. So no end of a job waits for a stranger's transaction.

-- Marks the links of parents that have ended. Returns the children that hear of it.
CREATE FUNCTION bulkport.mark_ended(parents bigint[], batches bigint[] DEFAULT '{}')
RETURNS bigint[]
LANGUAGE plpgsql AS $$
DECLARE
    children bigint[];
    more bigint[];
BEGIN
    WITH marked AS (
        UPDATE bulkport.job_continuations link SET outcome = parent.state::text
        FROM bulkport.finished_jobs parent
        WHERE link.parent_id = ANY (parents) AND parent.job_id = link.parent_id AND link.outcome IS NULL
          AND NOT link.settled
        RETURNING link.child_id
    )
    SELECT COALESCE(array_agg(DISTINCT child_id), '{}') INTO children FROM marked;
    IF cardinality(batches) > 0 THEN
        WITH marked AS (
            UPDATE bulkport.job_continuations link SET outcome = ended.outcome
            FROM (SELECT id, bulkport.batch_outcome(id) AS outcome FROM unnest(batches) AS id) AS ended
            WHERE link.batch_id = ended.id AND link.outcome IS NULL AND NOT link.settled
            RETURNING link.child_id
        )
        SELECT COALESCE(array_agg(DISTINCT child_id), '{}') INTO more FROM marked;
    END IF;
    RETURN children || more;
END;
$$;

-- How a batch has ended: well if it is complete and all its jobs have succeeded.
CREATE FUNCTION bulkport.batch_outcome(batch bigint)
RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN whole.abandoned OR EXISTS (
        SELECT FROM bulkport.finished_jobs job WHERE job.batch_id = batch AND job.state IN ('failed', 'cancelled')
    ) THEN 'failed' ELSE 'succeeded' END
    FROM bulkport.job_batches whole WHERE whole.batch_id = batch
$$;

-- Lets children act on their parents' outcomes, then the children of those cancelled as a result.
CREATE FUNCTION bulkport.settle(children bigint[])
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    held bigint[];
    decided record;
    hopeless bigint[];
BEGIN
    LOOP
        held := ARRAY(
            SELECT job_id FROM bulkport.jobs WHERE job_id = ANY (children) AND state = 'awaiting'
            ORDER BY job_id FOR UPDATE SKIP LOCKED);
        EXIT WHEN cardinality(held) = 0;
        hopeless := '{}';
        FOR decided IN
            WITH news AS (
                UPDATE bulkport.job_continuations SET settled = true
                WHERE child_id = ANY (held) AND outcome IS NOT NULL AND NOT settled
                RETURNING child_id, on_outcome IN ('finished', outcome) AS may_run,
                          CASE WHEN batch_id IS NULL THEN 'job ' || parent_id ELSE 'batch ' || batch_id END
                          || ' ' || outcome AS event
            ), heard AS (
                SELECT child_id, count(*) AS parents, bool_and(may_run) AS may_run,
                       COALESCE(min(event) FILTER (WHERE NOT may_run), max(event)) AS reason
                FROM news GROUP BY child_id
            ), counted AS (
                UPDATE bulkport.jobs child SET parents_left = child.parents_left - heard.parents
                FROM heard WHERE child.job_id = heard.child_id
                RETURNING child.job_id, child.parents_left, heard.may_run, heard.reason
            )
            SELECT may_run, reason, array_agg(job_id ORDER BY job_id) AS ids FROM counted
            WHERE parents_left <= 0 OR NOT may_run GROUP BY may_run, reason ORDER BY min(job_id)
        LOOP
            IF decided.may_run THEN
                PERFORM bulkport.make_ready(decided.ids, decided.reason, NULL);
            ELSE
                PERFORM bulkport.end_waiting(decided.ids, 'waited in vain: ' || decided.reason, NULL);
                hopeless := hopeless || decided.ids;
            END IF;
        END LOOP;
        children := bulkport.mark_ended(hopeless);
    END LOOP;
END;
$$;

-- Releases jobs that wait for something other than a free worker. The caller has locked their rows.
CREATE FUNCTION bulkport.make_ready(ids bigint[], why text, who text)
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz := clock_timestamp();
BEGIN
    IF COALESCE(cardinality(ids), 0) = 0 THEN
        RETURN;
    END IF;
    WITH before AS MATERIALIZED (
        SELECT job_id, state, queue, priority, COALESCE(user_id, '') AS user_id,
               row_number() OVER (PARTITION BY queue, priority, COALESCE(user_id, '') ORDER BY job_id) AS place
        FROM bulkport.jobs WHERE job_id = ANY (ids)
    ), flow AS MATERIALIZED (
        SELECT queue, priority, user_id, bulkport.next_turn(queue, priority, user_id) AS turn FROM before GROUP BY 1, 2, 3
    ), moved AS (
        UPDATE bulkport.jobs job SET
            state = 'enqueued', parked = false, fair_at = flow.turn + before.place - 1, parents_left = 0,
            -- A job that came due could have run from then on, however late it is released.
            ready_at = LEAST(job.due_at, moment), due_at = NULL
        FROM before JOIN flow USING (queue, priority, user_id)
        WHERE job.job_id = before.job_id
        RETURNING job.job_id, job.task, job.queue, before.state AS left_state
    ), counted AS (
        INSERT INTO bulkport.job_deltas (at, task, queue, left_state, entered_state, jobs)
        SELECT moment, task, queue, left_state, 'enqueued', count(*) FROM moved
        WHERE left_state <> 'enqueued' GROUP BY task, queue, left_state
    )
    INSERT INTO bulkport.job_history (job_id, at, state, reason, actor)
    SELECT job_id, moment, 'enqueued', why, who FROM moved WHERE why IS NOT NULL ORDER BY job_id;
    PERFORM pg_notify('bulkport.jobs', 'queue ' || named.queue)
    FROM (SELECT DISTINCT queue FROM bulkport.jobs WHERE job_id = ANY (ids)) AS named;
END;
$$;

-- Cancels waiting jobs whose rows the caller has locked. The caller handles their dependents.
CREATE FUNCTION bulkport.end_waiting(ids bigint[], why text, who text)
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz := clock_timestamp();
    batches text;
BEGIN
    IF COALESCE(cardinality(ids), 0) = 0 THEN
        RETURN;
    END IF;
    INSERT INTO bulkport.job_deltas (at, task, queue, left_state, entered_state, jobs)
    SELECT moment, task, queue, state, 'cancelled', count(*)
    FROM bulkport.jobs WHERE job_id = ANY (ids) GROUP BY task, queue, state;
    INSERT INTO bulkport.job_history (job_id, at, state, reason, actor)
    SELECT job_id, moment, 'cancelled', why, who FROM bulkport.jobs WHERE job_id = ANY (ids) ORDER BY job_id;
    SELECT string_agg(DISTINCT batch_id::text, ',') INTO batches FROM bulkport.jobs WHERE job_id = ANY (ids);
    PERFORM bulkport.move_finished(ids, 'cancelled', moment);
    IF batches IS NOT NULL THEN
        PERFORM bulkport.notify_workers('batches', batches);
    END IF;
END;
$$;


-- Batches --------------------------------------------------------------------------------------------------------
--
-- A batch has ended when it is sealed and none of its jobs is left in bulkport.jobs. Ends of jobs only say that there may
-- be such a batch. Whoever looks for that does so in a transaction that began after those ends were committed, and locks
-- the batch: the last one to look sees them all.

-- Checks that new jobs may be in their batches.
--
-- Raises foreign_key_violation when there is no such batch, object_not_in_prerequisite_state when it is sealed.
CREATE FUNCTION bulkport.join_batches(ids bigint[])
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    batch record;
BEGIN
    FOR batch IN
        SELECT wanted.batch_id, found.sealed
        FROM (
            SELECT DISTINCT batch_id FROM bulkport.jobs WHERE job_id = ANY (ids) AND batch_id IS NOT NULL
        ) AS wanted
        LEFT JOIN LATERAL (
            -- It does not end while this lock is held.
            SELECT sealed FROM bulkport.job_batches WHERE batch_id = wanted.batch_id FOR KEY SHARE
        ) AS found ON true
        ORDER BY wanted.batch_id
    LOOP
        IF batch.sealed IS NULL THEN
            RAISE 'there is no batch %', batch.batch_id USING ERRCODE = 'foreign_key_violation';
        ELSIF batch.sealed THEN
            RAISE 'batch % is sealed and takes no more jobs', batch.batch_id
                USING ERRCODE = 'object_not_in_prerequisite_state';
        END IF;
    END LOOP;
END;
$$;

-- Closes a batch: it takes no more jobs, and ends with the last of those it has. Returns whether there is one.
CREATE FUNCTION bulkport.seal_batch(batch bigint)
RETURNS boolean
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
BEGIN
    UPDATE bulkport.job_batches SET sealed = true WHERE batch_id = batch AND NOT sealed;
    IF FOUND THEN
        PERFORM bulkport.settle_batches(ARRAY[batch]);
        PERFORM bulkport.notify_workers('batches', batch::text);
        RETURN true;
    END IF;
    RETURN EXISTS (SELECT FROM bulkport.job_batches WHERE batch_id = batch);
END;
$$;

-- Ends those of the batches that are sealed and have no job left, and settles what waits for them. Returns those that
-- somebody else has locked: they are to be looked at again.
CREATE FUNCTION bulkport.settle_batches(ids bigint[])
RETURNS bigint[]
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    held bigint[];
    ended bigint[];
BEGIN
    held := ARRAY(
        SELECT batch_id FROM bulkport.job_batches WHERE batch_id = ANY (ids) ORDER BY batch_id FOR UPDATE SKIP LOCKED);
    -- A separate statement, to see what was committed before the locks were acquired.
    WITH just_ended AS (
        UPDATE bulkport.job_batches batch SET finished_at = clock_timestamp()
        WHERE batch.batch_id = ANY (held) AND batch.sealed AND batch.finished_at IS NULL
          AND NOT EXISTS (SELECT FROM bulkport.jobs job WHERE job.batch_id = batch.batch_id)
        RETURNING batch.batch_id
    )
    SELECT COALESCE(array_agg(batch_id), '{}') INTO ended FROM just_ended;
    IF cardinality(ended) > 0 THEN
        PERFORM bulkport.settle(bulkport.mark_ended('{}', ended));
    END IF;
    RETURN bulkport.array_without(ids, held);
END;
$$;


-- Continuations --------------------------------------------------------------------------------------------------

-- Makes new jobs wait for their parents: they are 'awaiting' with their number of parents, and in job_continuations. One
-- whose parents have all ended as it wishes is released; one that would wait in vain is cancelled.
--
-- Raises foreign_key_violation when there is no such parent (any more).
CREATE FUNCTION bulkport.link_parents(children bigint[])
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    parents bigint[] := ARRAY(
        SELECT DISTINCT parent_id FROM bulkport.job_continuations
        WHERE child_id = ANY (children) AND parent_id IS NOT NULL);
    batches bigint[] := ARRAY(
        SELECT DISTINCT batch_id FROM bulkport.job_continuations
        WHERE child_id = ANY (children) AND batch_id IS NOT NULL);
    missing text;
BEGIN
    IF cardinality(parents) + cardinality(batches) = 0 THEN
        RETURN;
    END IF;
    -- While these locks are held no parent ends, though it may run; one that ends afterwards finds its children.
    PERFORM FROM bulkport.jobs WHERE job_id = ANY (parents) ORDER BY job_id FOR KEY SHARE;
    PERFORM FROM bulkport.finished_jobs WHERE job_id = ANY (parents) ORDER BY job_id FOR KEY SHARE;
    PERFORM FROM bulkport.job_batches WHERE batch_id = ANY (batches) ORDER BY batch_id FOR KEY SHARE;
    SELECT 'job ' || parent INTO missing FROM unnest(parents) AS parent
    WHERE NOT EXISTS (SELECT FROM bulkport.jobs WHERE job_id = parent)
      AND NOT EXISTS (SELECT FROM bulkport.finished_jobs WHERE job_id = parent)
    UNION ALL
    SELECT 'batch ' || parent FROM unnest(batches) AS parent
    WHERE NOT EXISTS (SELECT FROM bulkport.job_batches WHERE batch_id = parent) LIMIT 1;
    IF missing IS NOT NULL THEN
        RAISE 'there is no % to wait for', missing USING ERRCODE = 'foreign_key_violation';
    END IF;
    -- Of those that have ended already the new jobs hear now, and of nothing that is not theirs.
    UPDATE bulkport.job_continuations link SET outcome = parent.state::text
    FROM bulkport.finished_jobs parent WHERE link.child_id = ANY (children) AND parent.job_id = link.parent_id;
    UPDATE bulkport.job_continuations link SET outcome = bulkport.batch_outcome(parent.batch_id)
    FROM bulkport.job_batches parent
    WHERE link.child_id = ANY (children) AND parent.batch_id = link.batch_id AND parent.finished_at IS NOT NULL;
    PERFORM bulkport.settle(children);
END;
$$;
