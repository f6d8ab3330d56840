"""The day before: the shop has traded for minutes, and its graphs go back for hours."""

from typing import Final, LiteralString

import psycopg

_LEAD_UP: Final[LiteralString] = """\
WITH minutes AS (
    SELECT *, dense_rank() OVER (ORDER BY starts_at) - 1 AS place FROM background_series WHERE granularity = 'minute'
), so_far AS (
    SELECT task, sum(succeeded) AS succeeded, sum(failed) AS failed, sum(retried) AS retried, sum(enqueued) AS enqueued
    FROM minutes GROUP BY task
), hours AS (
    SELECT
        date_trunc('hour', now()) - n * interval '1 hour' AS starts_at,
        n % (SELECT max(place) + 1 FROM minutes) AS place,
        6 + 4 * sin(extract(hour FROM now() - n * interval '1 hour') * pi() / 12 - 2) + 2 * random() AS times
    FROM generate_series(1, 24) AS n
)
INSERT INTO background_series (
    granularity, starts_at, task, succeeded, failed, retried, enqueued, durations, latencies
)
SELECT
    'hour', hours.starts_at, task, so_far.succeeded * times, so_far.failed * times, so_far.retried * times,
    so_far.enqueued * times, durations, latencies
FROM hours CROSS JOIN so_far LEFT JOIN minutes USING (place, task)
ON CONFLICT DO NOTHING"""
"""What was done so far, several times an hour: more by day than by night."""


async def make_up_yesterday(database_url: str) -> None:
    """Let the hours before have been like the last minutes."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute("SELECT setseed(0.5)")
        await connection.execute(_LEAD_UP)
