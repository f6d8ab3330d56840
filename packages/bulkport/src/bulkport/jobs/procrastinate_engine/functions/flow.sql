-- What the end of one job means for others: slots of concurrency keys, continuations, batches.
--
-- Locks are taken in one order: Procrastinate's rows, background_jobs, shares of batches, batches, then the same for
-- the jobs that waited (they are younger, their ids higher), and concurrency keys last; each by ascending key. Between
-- deep graphs a deadlock stays possible; PostgreSQL ends one side, and the statement can be sent again.

-- Wakes the workers that serve a queue; the job only names the cause (0: several). Procrastinate does so for new jobs.
CREATE FUNCTION background_announce_v1(queue text, cause bigint DEFAULT 0) RETURNS void LANGUAGE sql AS $$
    SELECT pg_notify('procrastinate_queue_v1#' || queue, notice), pg_notify('procrastinate_any_queue_v1', notice)
    FROM (SELECT json_build_object('type', 'job_inserted', 'job_id', cause)::text) AS announcement (notice);
$$;

-- Puts jobs, parked until now, into Procrastinate's queue.
CREATE FUNCTION background_start_v1(ids bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM procrastinate_retry_job_v2(job_id, NULL, priority, queue, NULL)
    FROM background_jobs WHERE job_id = ANY(ids);
    PERFORM background_announce_v1(started.queue)
    FROM (SELECT DISTINCT queue FROM background_jobs WHERE job_id = ANY(ids)) AS started;
END;
$$;

-- Changes the state of jobs whose rows the caller has locked, with what is kept of it: counts, and history unless
-- `why` is NULL. One that becomes 'enqueued' and has a concurrency key is parked: background_fill_keys_v1 starts it.
CREATE FUNCTION background_move_v1(ids bigint[], new_state background_job_state, why text, who text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz := clock_timestamp();
    is_final boolean := new_state IN ('succeeded', 'failed', 'cancelled');
BEGIN
    WITH before AS MATERIALIZED (
        SELECT job_id, state FROM background_jobs WHERE job_id = ANY(ids)
    ), moved AS (
        UPDATE background_jobs job SET
            state = new_state,
            parked = new_state = 'enqueued' AND job.concurrency_key IS NOT NULL,
            -- A job that came due could have run from then on, however late it is released.
            ready_at = CASE WHEN new_state = 'enqueued' THEN LEAST(job.due_at, moment) ELSE job.ready_at END,
            due_at = NULL,
            finished_at = CASE WHEN is_final THEN COALESCE(job.finished_at, moment) END,
            parents_left = 0,
            search_text = CASE WHEN is_final THEN
                background_search_text_v1(job.args, concat_ws(': ', job.error_type, job.error)) END
        FROM before WHERE job.job_id = before.job_id
        RETURNING job.job_id, job.task, job.queue, before.state AS left_state
    ), counted AS (
        INSERT INTO background_deltas (at, task, queue, left_state, entered_state, jobs)
        SELECT moment, task, queue, left_state, new_state, count(*) FROM moved
        WHERE left_state <> new_state GROUP BY task, queue, left_state
    )
    INSERT INTO background_history (job_id, at, state, reason, actor)
    SELECT job_id, moment, new_state, why, who FROM moved WHERE why IS NOT NULL ORDER BY job_id;
END;
$$;


-- Concurrency keys -----------------------------------------------------------------------------------------------
--
-- A slot of a key is held from a job's entry into Procrastinate's queue until its run has ended; jobs that find none
-- are 'enqueued' and parked. The row of a key is locked by everyone who takes a slot, gives one back, or finds none:
-- so a slot that becomes free is always seen by a job that was just parked, or the job by the one who frees it. That
-- lock lasts to the end of the transaction.
-- The limit is that of the job enqueued last, so that a new limit holds for all that wait.

-- Takes a slot for a job that is being enqueued, without waiting jobs being passed over when the limit has grown.
CREATE FUNCTION background_take_slot_v1(key text, key_limit integer) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE background_keys SET concurrency_limit = key_limit
    WHERE concurrency_key = key AND concurrency_limit <> key_limit;
    IF FOUND THEN
        PERFORM background_fill_key_v1(key);
    END IF;
    INSERT INTO background_keys AS slots (concurrency_key, taken, concurrency_limit) VALUES (key, 1, key_limit)
    ON CONFLICT (concurrency_key) DO UPDATE SET taken = slots.taken + 1 WHERE slots.taken < slots.concurrency_limit;
    RETURN FOUND;
END;
$$;

-- Starts parked jobs of a key while it has free slots. A job that someone else has locked is passed over: whoever
-- locks a parked job and leaves it parked fills its key afterwards.
CREATE FUNCTION background_fill_key_v1(key text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    next record;
BEGIN
    LOOP
        SELECT job.job_id, job.concurrency_limit INTO next
        FROM background_jobs job JOIN procrastinate_jobs queued ON queued.id = job.job_id
        WHERE job.parked AND job.concurrency_key = key
        ORDER BY job.priority DESC, job.job_id LIMIT 1
        FOR UPDATE OF queued, job SKIP LOCKED;
        EXIT WHEN NOT FOUND;
        INSERT INTO background_keys AS slots (concurrency_key, taken, concurrency_limit)
        VALUES (key, 1, next.concurrency_limit)
        ON CONFLICT (concurrency_key) DO UPDATE SET taken = slots.taken + 1
        WHERE slots.taken < slots.concurrency_limit;
        EXIT WHEN NOT FOUND;
        UPDATE background_jobs SET parked = false WHERE job_id = next.job_id;
        PERFORM background_start_v1(ARRAY[next.job_id]);
    END LOOP;
END;
$$;

-- Gives slots back, one for each element of `freed`, and starts jobs that wait for one of these keys or of `wanted`.
CREATE FUNCTION background_fill_keys_v1(wanted text[], freed text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    slots record;
BEGIN
    FOR slots IN
        SELECT key, count(*) FILTER (WHERE is_freed) AS given_back FROM (
            SELECT unnest(wanted) AS key, false AS is_freed UNION ALL SELECT unnest(freed), true
        ) AS named WHERE key IS NOT NULL GROUP BY key ORDER BY key
    LOOP
        IF slots.given_back > 0 THEN
            UPDATE background_keys SET taken = taken - slots.given_back WHERE concurrency_key = slots.key;
        END IF;
        PERFORM background_fill_key_v1(slots.key);
        DELETE FROM background_keys WHERE concurrency_key = slots.key AND taken = 0;
    END LOOP;
END;
$$;

-- The keys of those of the jobs that are parked.
CREATE FUNCTION background_parked_keys_v1(ids bigint[]) RETURNS text[] LANGUAGE sql STABLE AS $$
    SELECT ARRAY(SELECT DISTINCT concurrency_key FROM background_jobs WHERE job_id = ANY(ids) AND parked);
$$;


-- Releasing ------------------------------------------------------------------------------------------------------

-- Makes jobs 'enqueued' that the caller has locked, and starts those without a concurrency key. Returns the keys of
-- the others, for background_fill_keys_v1.
CREATE FUNCTION background_make_ready_v1(ids bigint[], why text, who text) RETURNS text[] LANGUAGE plpgsql AS $$
BEGIN
    PERFORM background_move_v1(ids, 'enqueued', why, who);
    PERFORM background_start_v1(ARRAY(
        SELECT job_id FROM background_jobs WHERE job_id = ANY(ids) AND concurrency_key IS NULL
    ));
    RETURN ARRAY(
        SELECT concurrency_key FROM background_jobs WHERE job_id = ANY(ids) AND concurrency_key IS NOT NULL
    );
END;
$$;

-- Lets jobs run that are parked in Procrastinate ('scheduled', 'retrying', 'awaiting', or ended unsuccessfully), and
-- returns their number. The caller holds the locks of their rows, and has seen under them that the jobs are to run.
CREATE FUNCTION background_release_v1(ids bigint[], why text DEFAULT 'its time came', who text DEFAULT NULL)
RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    IF cardinality(ids) > 0 THEN
        PERFORM background_fill_keys_v1(background_make_ready_v1(ids, why, who), '{}');
    END IF;
    RETURN COALESCE(cardinality(ids), 0);
END;
$$;


-- Batches --------------------------------------------------------------------------------------------------------
--
-- What is left of a batch is counted in sixteen shares by job id, so that its jobs, ending at one time, do not queue
-- up behind one row. Whoever brings a share to zero looks at the whole batch, under the lock of its row: the last of
-- them sees all the others' zeros.

-- Counts new jobs in their batches.
--
-- Raises foreign_key_violation when there is no such batch, object_not_in_prerequisite_state when it is sealed.
CREATE FUNCTION background_join_batches_v1(ids bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    batch record;
BEGIN
    INSERT INTO background_batch_shares AS share (batch_id, share, jobs, unfinished)
    SELECT batch_id, job_id % 16, count(*), count(*) FROM background_jobs
    WHERE job_id = ANY(ids) AND batch_id IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (batch_id, share) DO UPDATE
        SET jobs = share.jobs + EXCLUDED.jobs, unfinished = share.unfinished + EXCLUDED.unfinished;
    FOR batch IN
        SELECT wanted.batch_id, found.sealed
        FROM (
            SELECT DISTINCT batch_id FROM background_jobs WHERE job_id = ANY(ids) AND batch_id IS NOT NULL
        ) AS wanted
        LEFT JOIN LATERAL (
            SELECT sealed FROM background_batches WHERE batch_id = wanted.batch_id FOR SHARE
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

-- Counts jobs, ended just now, out of their batches. Returns the batches that may have ended with them.
CREATE FUNCTION background_leave_batches_v1(ids bigint[]) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    part record;
    remaining integer;
    emptied bigint[] := '{}';
BEGIN
    FOR part IN
        SELECT batch_id, (job_id % 16)::smallint AS share, count(*) AS jobs,
               count(*) FILTER (WHERE state <> 'succeeded') AS unsuccessful
        FROM background_jobs WHERE job_id = ANY(ids) AND batch_id IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2
    LOOP
        UPDATE background_batch_shares
        SET unfinished = unfinished - part.jobs, unsuccessful = unsuccessful + part.unsuccessful
        WHERE batch_id = part.batch_id AND share = part.share
        RETURNING unfinished INTO remaining;
        IF remaining = 0 THEN
            emptied := emptied || part.batch_id;
        END IF;
    END LOOP;
    RETURN emptied;
END;
$$;

-- Counts jobs that had ended unsuccessfully, and are to run again, back into their batches. A batch that has ended
-- stays so; its figures go on.
CREATE FUNCTION background_rejoin_batches_v1(ids bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    part record;
BEGIN
    FOR part IN
        SELECT batch_id, (job_id % 16)::smallint AS share, count(*) AS jobs
        FROM background_jobs WHERE job_id = ANY(ids) AND batch_id IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2
    LOOP
        UPDATE background_batch_shares
        SET unfinished = unfinished + part.jobs, unsuccessful = unsuccessful - part.jobs
        WHERE batch_id = part.batch_id AND share = part.share;
    END LOOP;
END;
$$;

-- Ends those of the batches that are sealed and have no unfinished job left. Returns those that ended now.
CREATE FUNCTION background_end_batches_v1(ids bigint[]) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    ended bigint[];
BEGIN
    IF cardinality(ids) = 0 THEN
        RETURN ids;
    END IF;
    PERFORM FROM background_batches WHERE batch_id = ANY(ids) ORDER BY batch_id FOR NO KEY UPDATE;
    WITH just_ended AS (
        UPDATE background_batches batch SET finished_at = clock_timestamp()
        WHERE batch.batch_id = ANY(ids) AND batch.sealed AND batch.finished_at IS NULL
          AND NOT EXISTS (
              SELECT FROM background_batch_shares share WHERE share.batch_id = batch.batch_id AND share.unfinished > 0
          )
        RETURNING batch.batch_id
    )
    SELECT COALESCE(array_agg(batch_id), '{}') INTO ended FROM just_ended;
    RETURN ended;
END;
$$;

-- Closes a batch: it takes no more jobs, and ends with the last of those it has. Returns whether there is one.
CREATE FUNCTION background_seal_batch_v1(batch bigint) RETURNS boolean LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
BEGIN
    UPDATE background_batches SET sealed = true WHERE batch_id = batch AND NOT sealed;
    IF FOUND THEN
        PERFORM background_settle_v1('{}', '{}', ended_batches => background_end_batches_v1(ARRAY[batch]));
        RETURN true;
    END IF;
    RETURN EXISTS (SELECT FROM background_batches WHERE batch_id = batch);
END;
$$;


-- Continuations --------------------------------------------------------------------------------------------------

-- How a batch has ended: well if it is complete and all its jobs have succeeded.
CREATE FUNCTION background_batch_outcome_v1(batch bigint) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN whole.abandoned OR EXISTS (
        SELECT FROM background_batch_shares share WHERE share.batch_id = batch AND share.unsuccessful > 0
    ) THEN 'failed' ELSE 'succeeded' END
    FROM background_batches whole WHERE whole.batch_id = batch;
$$;

-- Makes new jobs wait for their parents: they are in background_jobs as 'awaiting' with their number of parents, in
-- background_continuations, and parked. One whose parents have all ended as it wishes is released; one that would
-- wait in vain is cancelled.
--
-- Raises foreign_key_violation when there is no such parent (any more).
CREATE FUNCTION background_link_parents_v1(children bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    parents bigint[] := ARRAY(
        SELECT DISTINCT parent_id FROM background_continuations
        WHERE child_id = ANY(children) AND parent_id IS NOT NULL
    );
    batches bigint[] := ARRAY(
        SELECT DISTINCT batch_id FROM background_continuations
        WHERE child_id = ANY(children) AND batch_id IS NOT NULL
    );
    missing text;
BEGIN
    -- While these locks are held no parent ends; one that ends afterwards finds its children.
    PERFORM FROM background_jobs WHERE job_id = ANY(parents) ORDER BY job_id FOR NO KEY UPDATE;
    PERFORM FROM background_batches WHERE batch_id = ANY(batches) ORDER BY batch_id FOR NO KEY UPDATE;
    SELECT 'job ' || parent INTO missing FROM unnest(parents) AS parent
    WHERE NOT EXISTS (SELECT FROM background_jobs WHERE job_id = parent)
    UNION ALL
    SELECT 'batch ' || parent FROM unnest(batches) AS parent
    WHERE NOT EXISTS (SELECT FROM background_batches WHERE batch_id = parent) LIMIT 1;
    IF missing IS NOT NULL THEN
        RAISE 'there is no % to wait for', missing USING ERRCODE = 'foreign_key_violation';
    END IF;
    UPDATE background_jobs SET has_children = true WHERE job_id = ANY(parents) AND NOT has_children;
    -- Those that have ended already settle their children as if they ended now.
    PERFORM background_settle_v1(
        '{}', '{}',
        ended_parents => ARRAY(
            SELECT job_id FROM background_jobs
            WHERE job_id = ANY(parents) AND state IN ('succeeded', 'failed', 'cancelled')
        ),
        ended_batches => ARRAY(
            SELECT batch_id FROM background_batches WHERE batch_id = ANY(batches) AND finished_at IS NOT NULL
        )
    );
END;
$$;

-- Settles what hangs on jobs that have just ended, in the transaction of their end.
--
-- ended: jobs that became final in this transaction, their new state written
-- freed: concurrency keys, once for each slot given back
-- held: jobs whose rows the caller has locked; those that stay parked may have missed a free slot
-- ended_parents, ended_batches: ended, and counted as such, earlier
CREATE FUNCTION background_settle_v1(
    ended bigint[], freed text[], held bigint[] DEFAULT '{}',
    ended_parents bigint[] DEFAULT '{}', ended_batches bigint[] DEFAULT '{}'
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    parents bigint[] := ended || ended_parents;
    batches bigint[] := ended_batches || background_end_batches_v1(background_leave_batches_v1(ended));
    children bigint[];
    hopeless bigint[];
    decided record;
    wanted text[] := background_parked_keys_v1(held);
BEGIN
    LOOP
        children := ARRAY(
            SELECT child_id FROM background_continuations WHERE parent_id = ANY(parents) AND NOT settled
            UNION SELECT child_id FROM background_continuations WHERE batch_id = ANY(batches) AND NOT settled
        );
        EXIT WHEN cardinality(children) = 0;
        PERFORM FROM procrastinate_jobs WHERE id = ANY(children) ORDER BY id FOR UPDATE;
        PERFORM FROM background_jobs WHERE job_id = ANY(children) ORDER BY job_id FOR UPDATE;
        hopeless := '{}';
        -- A child hears of a parent once: when the link between them is marked.
        FOR decided IN
            WITH by_job AS (
                UPDATE background_continuations link SET settled = true FROM background_jobs parent
                WHERE link.parent_id = ANY(parents) AND NOT link.settled AND parent.job_id = link.parent_id
                RETURNING link.child_id, link.on_outcome, parent.state::text AS outcome,
                          'job ' || parent.job_id || ' ' || parent.state AS event
            ), by_batch AS (
                UPDATE background_continuations link SET settled = true
                FROM (SELECT batch_id, background_batch_outcome_v1(batch_id) AS outcome FROM unnest(batches) AS batch_id)
                    AS parent
                WHERE link.batch_id = parent.batch_id AND NOT link.settled
                RETURNING link.child_id, link.on_outcome, parent.outcome,
                          'batch ' || parent.batch_id || ' ' || parent.outcome AS event
            ), heard AS (
                SELECT child_id, count(*) AS parents, bool_and(on_outcome IN ('finished', outcome)) AS may_run,
                       COALESCE(min(event) FILTER (WHERE on_outcome NOT IN ('finished', outcome)), max(event)) AS reason
                FROM (TABLE by_job UNION ALL TABLE by_batch) AS settled GROUP BY child_id
            ), counted AS (
                UPDATE background_jobs child SET parents_left = child.parents_left - heard.parents
                FROM heard WHERE child.job_id = heard.child_id AND child.state = 'awaiting'
                RETURNING child.job_id, child.parents_left, heard.may_run, heard.reason
            )
            SELECT may_run, reason, array_agg(job_id ORDER BY job_id) AS ids FROM counted
            WHERE parents_left = 0 OR NOT may_run GROUP BY may_run, reason ORDER BY min(job_id)
        LOOP
            IF decided.may_run THEN
                wanted := wanted || background_make_ready_v1(decided.ids, decided.reason, NULL);
            ELSE
                PERFORM background_move_v1(decided.ids, 'cancelled', 'waited in vain: ' || decided.reason, NULL);
                UPDATE background_continuations SET settled = true WHERE child_id = ANY(decided.ids) AND NOT settled;
                hopeless := hopeless || decided.ids;
            END IF;
        END LOOP;
        parents := hopeless;
        batches := background_end_batches_v1(background_leave_batches_v1(hopeless));
    END LOOP;
    PERFORM background_fill_keys_v1(wanted, freed);
END;
$$;

-- Settles what hangs on a run that has ended, in the transaction that wrote the job's new state. The job gives its
-- slot back; one that goes on at once ('enqueued') waits for a slot again, behind those of higher priority.
CREATE FUNCTION background_after_end_v1(ended bigint, new_state background_job_state)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    freed text[] := ARRAY(
        SELECT concurrency_key FROM background_jobs WHERE job_id = ended AND concurrency_key IS NOT NULL
    );
BEGIN
    IF new_state IN ('succeeded', 'failed', 'cancelled') THEN
        PERFORM background_settle_v1(ARRAY[ended], freed);
        RETURN;
    END IF;
    IF new_state = 'enqueued' AND freed <> '{}' THEN
        PERFORM procrastinate_finish_job_v1(ended, 'failed', false);
        UPDATE background_jobs SET parked = true WHERE job_id = ended;
    END IF;
    PERFORM background_fill_keys_v1('{}', freed);
END;
$$;
