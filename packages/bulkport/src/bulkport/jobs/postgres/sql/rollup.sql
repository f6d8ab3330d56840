-- Moving bulkport.job_deltas into counts and time series.
--
-- A histogram is an integer[]: element i counts the values under 0.1 ms * 1.1^(i-1) that no element before it counts.
-- Element 260 (53 days and more) also counts all that is larger. Trailing zeros are left out.

CREATE FUNCTION bulkport.histogram_slot(milliseconds double precision) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN milliseconds IS NULL THEN NULL
                WHEN milliseconds < 0.1 THEN 1
                ELSE least(260, 2 + floor(ln(milliseconds / 0.1) / ln(1.1)))::integer END
$$;

-- The histogram that has sizes[n] values in element slots[n]; NULL when there are none. Slots may repeat or be NULL.
CREATE FUNCTION bulkport.histogram(slots integer[], sizes bigint[]) RETURNS integer[]
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    histogram integer[];
BEGIN
    SELECT array_fill(0, ARRAY[max(slot)]) INTO histogram FROM unnest(slots) AS slot HAVING max(slot) IS NOT NULL;
    IF histogram IS NOT NULL THEN
        FOR n IN 1 .. cardinality(slots) LOOP
            IF slots[n] IS NOT NULL THEN
                histogram[slots[n]] := histogram[slots[n]] + sizes[n];
            END IF;
        END LOOP;
    END IF;
    RETURN histogram;
END;
$$;

CREATE FUNCTION bulkport.add_histograms(one integer[], other integer[]) RETURNS integer[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN one IS NULL THEN other WHEN other IS NULL THEN one ELSE (
        SELECT array_agg(COALESCE(a, 0) + COALESCE(b, 0) ORDER BY slot)
        FROM unnest(one, other) WITH ORDINALITY AS pair (a, b, slot)
    ) END
$$;

CREATE FUNCTION bulkport.histogram_of(milliseconds real[]) RETURNS integer[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT bulkport.histogram(array_agg(bulkport.histogram_slot(ms)), array_agg(1::bigint)) FROM unnest(milliseconds) AS ms
$$;

CREATE AGGREGATE bulkport.sum_histograms(integer[]) (SFUNC = bulkport.add_histograms, STYPE = integer[]);

-- How long buckets are kept, and how much longer they may lie there before all that are older are deleted together.
-- 'all' has one bucket a task, of everything that ever happened.
CREATE FUNCTION bulkport.granularities() RETURNS TABLE (granularity text, retention interval, slack interval)
    LANGUAGE sql IMMUTABLE
AS $$
    VALUES ('second', interval '15 minutes', interval '1 minute'),
           ('minute', interval '2 days', interval '1 hour'),
           ('hour', interval '60 days', interval '1 day'),
           ('day', interval '3 years', interval '30 days'),
           ('all', NULL, NULL)
$$;

CREATE FUNCTION bulkport.bucket(granularity text, at timestamptz) RETURNS timestamptz
    LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT CASE granularity WHEN 'all' THEN timestamptz '1970-01-01 00:00:00+00'
                            ELSE date_trunc(granularity, at, 'UTC') END
$$;

-- Moves at most `most` deltas. No row: another session is at it. Otherwise how many it moved, and how large the table
-- of deltas is: the rows that were moved take their place until it is vacuumed, and each call reads past them.
CREATE FUNCTION bulkport.rollup(most integer DEFAULT 50000) RETURNS TABLE (moved bigint, deltas_bytes bigint)
    LANGUAGE plpgsql
AS $$
DECLARE
    spent record;
    moved_jobs bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('bulkport.rollup', 0)) THEN
        RETURN;
    END IF;
    WITH taken AS (
        DELETE FROM bulkport.job_deltas
        WHERE ctid = ANY (ARRAY(SELECT delta.ctid FROM bulkport.job_deltas delta LIMIT most))
        RETURNING at, task, queue, left_state, entered_state, jobs, durations_ms, latencies_ms
    ), counted AS (
        INSERT INTO bulkport.job_counts AS stored (task, queue, state, jobs)
        SELECT change.task, change.queue, change.state, sum(change.jobs)
        FROM (
            SELECT task, queue, entered_state, jobs FROM taken WHERE entered_state IS NOT NULL
            UNION ALL
            SELECT task, queue, left_state, -jobs FROM taken WHERE left_state IS NOT NULL
        ) AS change (task, queue, state, jobs)
        GROUP BY change.task, change.queue, change.state
        HAVING sum(change.jobs) <> 0
        ON CONFLICT (task, queue, state) DO UPDATE SET jobs = stored.jobs + EXCLUDED.jobs
    ), by_second AS (
        SELECT date_trunc('second', at, 'UTC') AS second, task, queue,
               COALESCE(sum(jobs) FILTER (WHERE entered_state = 'succeeded'), 0) AS succeeded,
               COALESCE(sum(jobs) FILTER (WHERE entered_state = 'failed'), 0) AS failed,
               COALESCE(sum(jobs) FILTER (WHERE entered_state = 'retrying'), 0) AS retried,
               COALESCE(sum(jobs) FILTER (WHERE entered_state = 'cancelled'), 0) AS cancelled,
               COALESCE(sum(jobs) FILTER (WHERE left_state IS NULL), 0) AS enqueued
        FROM taken WHERE entered_state IS NOT NULL
        GROUP BY 1, 2, 3
    ), durations AS (
        SELECT second, task, queue, array_agg(slot) AS slots, array_agg(runs) AS sizes
        FROM (SELECT date_trunc('second', at, 'UTC') AS second, task, queue, bulkport.histogram_slot(ms) AS slot,
                     count(*) AS runs
              FROM taken, unnest(durations_ms) AS ms GROUP BY 1, 2, 3, 4) AS counted GROUP BY second, task, queue
    ), latencies AS (
        SELECT second, task, queue, array_agg(slot) AS slots, array_agg(runs) AS sizes
        FROM (SELECT date_trunc('second', at, 'UTC') AS second, task, queue, bulkport.histogram_slot(ms) AS slot,
                     count(*) AS runs
              FROM taken, unnest(latencies_ms) AS ms GROUP BY 1, 2, 3, 4) AS counted GROUP BY second, task, queue
    ), grouped AS (
        SELECT size.granularity, size.retention, bulkport.bucket(size.granularity, second) AS starts_at, task, queue,
               sum(succeeded) AS succeeded, sum(failed) AS failed, sum(retried) AS retried, sum(cancelled) AS cancelled,
               sum(enqueued) AS enqueued,
               bulkport.sum_histograms(bulkport.histogram(durations.slots, durations.sizes)) AS durations,
               bulkport.sum_histograms(bulkport.histogram(latencies.slots, latencies.sizes)) AS latencies
        FROM by_second LEFT JOIN durations USING (second, task, queue)
             LEFT JOIN latencies USING (second, task, queue),
             bulkport.granularities() AS size
        WHERE size.retention IS NULL OR second > clock_timestamp() - size.retention
        GROUP BY 1, 2, 3, 4, 5
    ), series AS (
        INSERT INTO bulkport.job_series AS bucket (
            granularity, starts_at, task, queue, succeeded, failed, retried, cancelled, enqueued, durations, latencies
        )
        SELECT granularity, starts_at, task, queue, succeeded, failed, retried, cancelled, enqueued,
               CASE WHEN retention IS NOT NULL THEN durations END, CASE WHEN retention IS NOT NULL THEN latencies END
        FROM grouped
        ON CONFLICT (granularity, starts_at, task, queue) DO UPDATE SET
            succeeded = bucket.succeeded + EXCLUDED.succeeded,
            failed = bucket.failed + EXCLUDED.failed,
            retried = bucket.retried + EXCLUDED.retried,
            cancelled = bucket.cancelled + EXCLUDED.cancelled,
            enqueued = bucket.enqueued + EXCLUDED.enqueued,
            durations = bulkport.add_histograms(bucket.durations, EXCLUDED.durations),
            latencies = bulkport.add_histograms(bucket.latencies, EXCLUDED.latencies)
    )
    SELECT count(*) INTO moved_jobs FROM taken;
    FOR spent IN
        SELECT size.granularity, clock_timestamp() - size.retention AS before
        FROM bulkport.granularities() AS size
        WHERE EXISTS (
            SELECT FROM bulkport.job_series old
            -- Not clock_timestamp(), for which an index would be read to its end.
            WHERE old.granularity = size.granularity AND old.starts_at < now() - size.retention - size.slack
        )
    LOOP
        DELETE FROM bulkport.job_series old WHERE old.granularity = spent.granularity AND old.starts_at < spent.before;
        DELETE FROM bulkport.server_series old
        WHERE old.granularity = spent.granularity AND old.starts_at < spent.before;
        DELETE FROM bulkport.job_counts WHERE jobs = 0;
    END LOOP;
    RETURN QUERY SELECT moved_jobs, pg_relation_size('bulkport.job_deltas');
END;
$$;
