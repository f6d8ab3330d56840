"""What was tried for rows that missed their target, by row; the page shows it beside the miss."""

_PROCESSOR = (
    "Both processors are busy throughout: of 4.0 s of processor time for a million rows the two workers take 1.7, "
    "PostgreSQL 1.8 and the API 0.4, while \\copy keeps one processor busy and leaves the other idle."
)
_TRIPS = (
    "One request is one pass through uvicorn, Starlette and FastAPI, one query for the key and one statement that "
    "stores "
    "all of it (it was five exchanges). Of the API's processor time, sampled, psycopg and asyncio take 46 %, the "
    "1,000 rows (parsed, checked, compressed) 30 %, the web layers 17 %; then PostgreSQL's log is flushed."
)
_CONTENTION = (
    "The API shares two processors with two workers and PostgreSQL, which carry the same imports out meanwhile; each "
    "request costs the API 3.6 ms of processor time, so eight at once wait for each other. Fewer exchanges with the "
    "database and less work for each row took the p99 from 155 to about 70 ms; workers have a lower priority already."
)

_PICKUP = (
    "Timed step by step, half of it is the call that enqueues (its commit to the disk and the notification included), "
    "a third the claim with its commit; noticing the notification and starting the task share the rest. None of the "
    "peers on PostgreSQL is faster, and what Celery takes on Redis is close to it. After 20 ms of idleness everything "
    "takes longer: a plain SELECT 1 0.5 ms in place of 0.3. Taken: a statement's columns and a job's description are "
    "no longer made up for nobody (0.15 ms); collections of garbage pass over what is loaded (a tenth of a second, now "
    "and then). Not worth its price: claiming before Procrastinate's worker comes to the notification (0.12 ms). Not "
    "taken: claims that do not wait for the disk (0.3 ms), since a crash of PostgreSQL could then start a job twice."
)

TRIED: dict[str, str] = {
    "platforms-ndjson": _PROCESSOR
    + " Without gain: three, four and six lanes; no lower priority for workers; one COPY at a time (PostgreSQL's "
    "processor time fell from 1.9 to 1.5 s, the import was no faster); larger wal_buffers. Taken: two lanes in two "
    "processes, checks by column, bad rows cheaper, one description of a table kept. Left: an identity sequence with "
    "CACHE 32 (6 % faster; ids would have gaps).",
    "platforms-csv": _PROCESSOR + " Records are read and checked column by column, which halved the workers' time.",
    "post-alone-p50": _TRIPS,
    "post-alone-p99": _TRIPS,
    "post-eight-p99": _CONTENTION,
    "post-beside-p99": _CONTENTION,
    "completed-p50": "Answering takes a third of it. The worker needs four exchanges with PostgreSQL "
    "(it was thirteen): "
    "claim, begin, write and settle, end. The status requests take their share of the processors.",
    "completed-p99": "As for the p50.",
    "ten-rows-wait-p50": "A notification reaches both workers, each asks for the job, and the one that gets it begins "
    "the attempt in a transaction that does not wait for the disk. The client that asks for the status meanwhile takes "
    "its share of the processors.",
    "fairness-p99": "Turns by user, and small imports by one statement. The rest is the event loops: a worker that "
    "decodes a chunk (40 ms) answers no notification, and the API compresses the other user's upload meanwhile.",
    "memory-growth": "One worker's high-water mark differs by some MiB from run to run, in both directions, "
    "while the API stays; in earlier runs the most was 1.0 and 7.5. Which allocation makes it was not found out.",
    "memory-api": "The libraries that a server imports are 90 MiB of it. Alembic, and where nobody signs in the "
    "libraries for that, are no longer loaded.",
    "jobs-pickup-p50": _PICKUP,
    "jobs-pickup-p99": _PICKUP,
    "dashboard-open": "Five pages are watched by ten browsers; each is read and rendered once a second for all of "
    "them, 2 to 20 ms each, and a request that comes meanwhile waits for it. Lists of jobs rest while nothing changes.",
}
