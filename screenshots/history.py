"""The two days before: the shop has traded for minutes, and its graphs go back for hours."""

from typing import Final, LiteralString

import psycopg

_LEAD_UP: Final[LiteralString] = """\
WITH minutes AS (
    SELECT *, dense_rank() OVER (ORDER BY starts_at) - 1 AS place
    FROM bulkport.job_series WHERE granularity = 'minute' AND starts_at < date_trunc('minute', now())
), so_far AS (
    SELECT task, queue, avg(succeeded) AS succeeded, avg(failed) AS failed, avg(retried) AS retried,
           avg(enqueued) AS enqueued
    FROM minutes GROUP BY task, queue
), before AS (
    SELECT
        date_trunc(%(unit)s, now()) - n * step AS starts_at,
        floor(random() * (SELECT max(place) + 1 FROM minutes)) AS place,
        %(times)s * (6 + 4 * sin(extract(hour FROM now() - n * step) * pi() / 12 - 2) + 2 * random()) AS times
    FROM generate_series(1, %(count)s) AS n, CAST('1 ' || %(unit)s AS interval) AS step
)
INSERT INTO bulkport.job_series (
    granularity, starts_at, task, queue, succeeded, failed, retried, enqueued, durations, latencies
)
SELECT
    %(unit)s, before.starts_at, task, queue, so_far.succeeded * times, so_far.failed * times, so_far.retried * times,
    so_far.enqueued * times, durations, latencies
FROM before CROSS JOIN so_far LEFT JOIN minutes USING (place, task, queue)
ON CONFLICT DO NOTHING"""
"""What a minute did so far, and more by day than by night."""

_UNITS: Final = ({"unit": "hour", "count": 48, "times": 10.0}, {"unit": "minute", "count": 60, "times": 0.1})


async def make_up_yesterday(database_url: str) -> None:
    """Let the hours before have been like the last minutes."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute("SELECT setseed(0.5)")
        for unit in _UNITS:
            await connection.execute(_LEAD_UP, unit)
