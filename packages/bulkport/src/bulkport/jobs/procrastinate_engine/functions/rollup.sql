-- Moving background_deltas into counts and time series.
--
-- A histogram is an integer[]: element i counts the values under 0.1 ms × 1.25^(i-1) that no element before it counts.
-- Element 112 (53 days and more) also counts all that is larger. Trailing zeros are left out.

CREATE FUNCTION background_histogram_slot_v1(milliseconds double precision) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN milliseconds IS NULL THEN NULL
                WHEN milliseconds < 0.1 THEN 1
                ELSE least(112, 2 + floor(ln(milliseconds / 0.1) / ln(1.25)))::integer END
$$;

-- The histogram that has sizes[n] values in element slots[n]; NULL when there are none. Slots may repeat or be NULL.
CREATE FUNCTION background_histogram_v1(slots integer[], sizes bigint[]) RETURNS integer[]
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

CREATE FUNCTION background_add_histograms_v1(one integer[], other integer[]) RETURNS integer[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN one IS NULL THEN other WHEN other IS NULL THEN one ELSE (
        SELECT array_agg(COALESCE(a, 0) + COALESCE(b, 0) ORDER BY slot)
        FROM unnest(one, other) WITH ORDINALITY AS pair (a, b, slot)
    ) END
$$;

-- How long buckets are kept, and how much longer they may lie there before all that are older are deleted together.
-- 'all' has one bucket a task, of everything that ever happened.
CREATE FUNCTION background_granularities_v1() RETURNS TABLE (granularity text, kept interval, slack interval)
    LANGUAGE sql IMMUTABLE
AS $$
    VALUES ('second', interval '15 minutes', interval '1 minute'),
           ('minute', interval '2 days', interval '1 hour'),
           ('hour', interval '60 days', interval '1 day'),
           ('day', interval '3 years', interval '30 days'),
           ('all', NULL, NULL)
$$;

CREATE FUNCTION background_bucket_v1(granularity text, at timestamptz) RETURNS timestamptz
    LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT CASE granularity WHEN 'all' THEN timestamptz '1970-01-01 00:00:00+00'
                            ELSE date_trunc(granularity, at, 'UTC') END
$$;

-- Moves at most `most` deltas. No row: another session is at it. Otherwise how many it moved, and how large the table
-- of deltas is: the rows that were moved take their place until it is vacuumed, and each call reads past them.
CREATE FUNCTION background_rollup_v1(most integer DEFAULT 50000) RETURNS TABLE (moved bigint, deltas_bytes bigint)
    LANGUAGE plpgsql
AS $$
DECLARE
    spent record;
    moved_jobs bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('background_rollup_v1', 0)) THEN
        RETURN;
    END IF;
    WITH taken AS (
        DELETE FROM background_deltas
        WHERE ctid = ANY (ARRAY(SELECT delta.ctid FROM background_deltas delta LIMIT most))
        RETURNING at, task, queue, left_state, entered_state, jobs, duration_ms, latency_ms
    ), counted AS (
        INSERT INTO background_counts AS kept (task, queue, state, jobs)
        SELECT change.task, change.queue, change.state, sum(change.jobs)
        FROM (
            SELECT task, queue, entered_state, jobs FROM taken WHERE entered_state IS NOT NULL
            UNION ALL
            SELECT task, queue, left_state, -jobs FROM taken WHERE left_state IS NOT NULL
        ) AS change (task, queue, state, jobs)
        GROUP BY change.task, change.queue, change.state
        HAVING sum(change.jobs) <> 0
        ON CONFLICT (task, queue, state) DO UPDATE SET jobs = kept.jobs + EXCLUDED.jobs
    ), by_second AS (
        SELECT date_trunc('second', at, 'UTC') AS second, task,
               background_histogram_slot_v1(duration_ms) AS duration_slot,
               background_histogram_slot_v1(latency_ms) AS latency_slot,
               count(*) AS deltas,
               COALESCE(sum(jobs) FILTER (WHERE entered_state = 'succeeded'), 0) AS succeeded,
               COALESCE(sum(jobs) FILTER (WHERE entered_state = 'failed'), 0) AS failed,
               COALESCE(sum(jobs) FILTER (WHERE entered_state = 'retrying'), 0) AS retried,
               COALESCE(sum(jobs) FILTER (WHERE entered_state = 'cancelled'), 0) AS cancelled,
               COALESCE(sum(jobs) FILTER (WHERE left_state IS NULL), 0) AS enqueued
        FROM taken WHERE entered_state IS NOT NULL
        GROUP BY 1, 2, 3, 4
    ), series AS (
        INSERT INTO background_series AS bucket (
            granularity, starts_at, task, succeeded, failed, retried, cancelled, enqueued, durations, latencies
        )
        SELECT size.granularity, background_bucket_v1(size.granularity, second) AS starts_at, task,
               sum(succeeded), sum(failed), sum(retried), sum(cancelled), sum(enqueued),
               CASE WHEN size.kept IS NOT NULL THEN
                   background_histogram_v1(array_agg(duration_slot), array_agg(deltas)) END,
               CASE WHEN size.kept IS NOT NULL THEN
                   background_histogram_v1(array_agg(latency_slot), array_agg(deltas)) END
        FROM by_second, background_granularities_v1() AS size
        WHERE size.kept IS NULL OR second > clock_timestamp() - size.kept
        GROUP BY size.granularity, size.kept, starts_at, task
        ON CONFLICT (granularity, starts_at, task) DO UPDATE SET
            succeeded = bucket.succeeded + EXCLUDED.succeeded,
            failed = bucket.failed + EXCLUDED.failed,
            retried = bucket.retried + EXCLUDED.retried,
            cancelled = bucket.cancelled + EXCLUDED.cancelled,
            enqueued = bucket.enqueued + EXCLUDED.enqueued,
            durations = background_add_histograms_v1(bucket.durations, EXCLUDED.durations),
            latencies = background_add_histograms_v1(bucket.latencies, EXCLUDED.latencies)
    )
    SELECT count(*) INTO moved_jobs FROM taken;
    FOR spent IN
        SELECT size.granularity, clock_timestamp() - size.kept AS before
        FROM background_granularities_v1() AS size
        WHERE EXISTS (
            SELECT FROM background_series old
            -- Not clock_timestamp(), for which an index would be read to its end.
            WHERE old.granularity = size.granularity AND old.starts_at < now() - size.kept - size.slack
        )
    LOOP
        DELETE FROM background_series old WHERE old.granularity = spent.granularity AND old.starts_at < spent.before;
        DELETE FROM background_counts WHERE jobs = 0;
    END LOOP;
    RETURN QUERY SELECT moved_jobs, pg_relation_size('background_deltas');
END;
$$;
