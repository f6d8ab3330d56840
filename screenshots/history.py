"""The two days before: the shop has traded for minutes, and its graphs go back for hours."""

from typing import Final, LiteralString

import psycopg

_LEAD_UP: Final[LiteralString] = """\
WITH minutes AS (
    SELECT *, dense_rank() OVER (ORDER BY starts_at) AS place
    FROM bulkport.job_series WHERE granularity = 'minute' AND starts_at < date_trunc('minute', now())
), so_far AS (
    SELECT task, queue, avg(succeeded) AS succeeded, avg(failed) AS failed, avg(retried) AS retried,
           avg(enqueued) AS enqueued
    FROM minutes GROUP BY task, queue
), before AS (
    SELECT
        n, date_trunc(%(unit)s, now()) - n * step AS starts_at,
        %(times)s * (6 + 4 * sin(extract(hour FROM now() - n * step) * pi() / 12 - 2) + 2 * random()) AS times
    FROM generate_series(1, %(count)s) AS n, CAST('1 ' || %(unit)s AS interval) AS step
)
INSERT INTO bulkport.job_series (
    granularity, starts_at, task, queue, succeeded, failed, retried, enqueued, durations, latencies
)
SELECT
    %(unit)s, before.starts_at, task, queue, so_far.succeeded * times, so_far.failed * times, so_far.retried * times,
    so_far.enqueued * times, mixed.durations, mixed.latencies
FROM before CROSS JOIN so_far CROSS JOIN LATERAL (
    SELECT bulkport.sum_histograms(ARRAY(
               SELECT (size * weight)::integer FROM unnest(durations) WITH ORDINALITY AS element (size, slot)
               ORDER BY slot)) AS durations,
           bulkport.sum_histograms(ARRAY(
               SELECT (size * weight)::integer FROM unnest(latencies) WITH ORDINALITY AS element (size, slot)
               ORDER BY slot)) AS latencies
    FROM minutes, LATERAL (SELECT 40 * (1.1 + sin(before.n / 4.0 + 2 * place)) AS weight) AS weights
    WHERE (minutes.task, minutes.queue) = (so_far.task, so_far.queue)
) AS mixed
ON CONFLICT DO NOTHING"""
"""What a minute did so far, and more by day than by night. How long jobs took and waited is a mixture of all minutes
whose parts change slowly: one minute after the other, few as they are, would let percentiles jump between them."""

_UNITS: Final = ({"unit": "hour", "count": 48, "times": 10.0}, {"unit": "minute", "count": 60, "times": 0.1})


async def make_up_yesterday(database_url: str) -> None:
    """Let the hours before have been like the last minutes."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute("SELECT setseed(0.5)")
        for unit in _UNITS:
            await connection.execute(_LEAD_UP, unit)
