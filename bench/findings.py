"""Findings about missed targets, shown in the report beside each miss."""

_PROCESSOR = (
    "Both processors are busy for four fifths of the time, while \\copy keeps one busy and leaves the other idle: of "
    "1.1 s of processor time for 300,000 rows of NDJSON PostgreSQL takes 0.5 (\\copy's 0.3), the two workers 0.4 and "
    "the API 0.2. Of the workers' 1.4 µs a row, 0.55 go to the rows: half of it to decoding and the checks by column, "
    "16 % to telling rows apart, 11 % to splitting lines, 9 % to the text for COPY; the rest to statements and the "
    "event loop. Taken since: a worker that carries out an import asked for more jobs a hundred times a second, which "
    "was a tenth of PostgreSQL's processor time and more of its own; each chunk worker decodes its next chunk on a "
    "thread while PostgreSQL writes the one before (a million rows in 1.7 to 1.9 s in place of 1.9 to 2.1)."
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
_TWO_STREAMS = (
    " Two streams of COPY wait for each other at the table's sequence and the last page of its key: alone, without any "
    "worker, one takes 0.88 s for the million rows (0.80 of processor time) and two take 0.77 s (1.08); with ids that "
    "are given 0.57 s. Without gain: ids reserved by the block, since each is one nextval all the same (0.8 to 1.0 s). "
    "Taken: lengths checked by column, text for COPY escaped as bytes (0.89 to 0.55 s of a worker's time)."
)

_PICKUP = (
    "Of some 2.3 ms, the call that enqueues takes 0.6 (0.2 of it the commit to the disk) and the claim 0.5 (half of it "
    "the commit); the rest are the wake-ups of three processes and psycopg's statements on an event loop, where "
    "PgQueuer has asyncpg. Taken since this run: claims and outcomes are prepared (220 in place of 285 µs of "
    "PostgreSQL's processor time, 250 to 310 in place of 470); in turn with PgQueuer on a busy machine p50 was then "
    "between 0.89 and 1.22. Not taken: claims that do not wait for the disk (0.25 ms), since a crash of "
    "PostgreSQL could then start a job twice; a claim of its own for the one job of an idle queue (about 0.06 ms), as "
    "a second way to claim."
)
_ENQUEUEING = (
    "PostgreSQL needed about 0.30 ms of processor time for the job, 0.24 for PgQueuer's, and the client 0.28, 0.13 "
    "with PgQueuer's asyncpg. Taken since this run: own connections prepare the statement (0.21 in place of 0.27 ms of "
    "PostgreSQL's time, less than PgQueuer's), they go back to their pool without a task of the event loop (0.035 ms), "
    "and jobs are made in 4.0 ms for 1,000 in place of 8.6. In turn with PgQueuer on a busy machine the rates were "
    "then 0.75 to 1.08 one by one and 0.70 to 0.87 for 1,000 in a call. Whether there is telemetry is since asked "
    "without importing it (0.02 ms). Left: of the client's time the library's own code is 0.018 ms, the pool's 0.013; "
    "psycopg takes 0.1 ms where asyncpg takes 0.06, and the index of lists by creation."
)

TRIED: dict[str, str] = {
    "platforms-ndjson": _PROCESSOR
    + _TWO_STREAMS
    + " Without gain: three, four and six lanes; no lower priority for workers; one COPY at a time (PostgreSQL's "
    "processor time fell from 1.9 to 1.5 s, the import was no faster); larger wal_buffers. Taken: two lanes in two "
    "processes, checks by column, bad rows cheaper, one description of a table kept. Left: an identity sequence with "
    "CACHE 32 (6 % faster; ids would have gaps).",
    "platforms-csv": _PROCESSOR
    + " Records are read and checked column by column, which halved the workers' time. Without gain: stand-ins for "
    "what stands in quotes, so that quoted records are split by column too (0.39 µs a row for reading, from 0.23).",
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
    "jobs-single": _ENQUEUEING,
    "jobs-batch": _ENQUEUEING,
    "growth-imports": "The cause was the measure: storing an import was timed while the disk still took the rows that "
    "had just been added. The statement reads 8 pages and writes 5 records of 463 bytes beside 1,000 imports and 9 "
    "pages and the same records beside a million; in turn, beside both at once, it took 0.93 as long there. The "
    "measure waits for the disk since this run.",
    "typed-csv": "It was 4.2. Cells are checked by column with one match, quoted CSV is read in C, and an import's two "
    "jobs go to two processes. Of the worker's processor time, some 4.7 µs a row of ten columns, reading CSV takes 2.7 "
    "(1.4 Python's csv module, 0.6 the match that proves the quotes to be right), the ten checks 1.1, the text for "
    "COPY 0.5. Taken: texts looked through for NUL without asking for their types (0.24 to 0.09 µs), quotes counted in "
    "a sample (0.15). Without gain: stand-ins for what stands in quotes, and splitting by column (4.4 to 5.0 µs for "
    "reading, from 2.8: ten passes over a text cost more than one in C). Left: bytes passed on to COPY as they are.",
    "post-bare": _TRIPS + " Reading the body in short steps on threads, limits, idempotency, audit and row-level "
    "security have been added since.",
    "completed-bare": _TRIPS,
    "commands-by-id": "PostgreSQL checks each row's foreign key, as it does under \\copy. One lane takes it 1.08 s of "
    "processor time for 150,000 rows, two 1.2 (\\copy 0.8, all beside other work): so it is not that two transactions "
    "lock the same platforms.",
    "commands-by-name": "As for those by id; names are looked up once for each import and worker.",
    "upsert": "One lane writes the chunks in the body's order, so that the last row of a key wins. PostgreSQL needs "
    "6.2 µs of processor time a row, the peer's 5.2. Taken: the next chunk is decoded on a thread meanwhile; texts "
    "become arrays in half of psycopg's time (0.24 µs each, from 0.45). Without gain: no search for keys that occur "
    "twice, no sort by key (6.1, 5.8 µs); COPY into a temporary table for each chunk (5.8 µs, and a table's entries in "
    "the catalogue). Left: merging without counting distinct keys (5.6 µs), which needs a second statement where rows "
    "change nothing.",
    "accepted": "The parts of the body are cut into chunks, compressed and stored in one transaction; the client and "
    "PostgreSQL share the two processors with that. Taken: a body of a known length is handed to the parser as it "
    "comes and not in steps of 32 KB. In turn, four times each right after this run, the body was then answered after "
    "0.22 s in place of 0.25, where \\copy took 0.95 to 1.0 s (0.22 and 0.26); the API needs 0.32 s of processor time "
    "either way. Without gain: counting the lines of several steps at once (0.1 s in all).",
    "export-csv": "A page is read while the one before is sent. PostgreSQL writes the text, as for \\copy, and gives "
    "each row as a message of its own, which libpq hands to Python one by one: 0.16 s of the API's 0.25 s of "
    "processor time for a million rows (0.36 s before each row was let go before the next comes), where psql needs "
    "0.06 s for all of it. The backend needs 0.2 s for either. Not taken: many rows as one value (string_agg), for "
    "which PostgreSQL needs 0.35 s with the quoting of CSV, and the memory of a page however long its rows are.",
    "export-ndjson": "As for CSV.",
    "export-parquet": "As for CSV; the columns are made in a process of their own.",
    "eight-rate": _CONTENTION,
    "jobs-pickup-p50": _PICKUP,
    "jobs-pickup-p99": _PICKUP,
    "dashboard-open": "Five pages are watched by ten browsers; each is read and rendered once a second for all of "
    "them, 2 to 20 ms each, and a request that comes meanwhile waits for it. Lists of jobs rest while nothing changes.",
}
