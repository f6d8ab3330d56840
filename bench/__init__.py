"""Measures the Command API against the tools it is compared with.

`make bench` (`python -m bench`) starts one PostgreSQL with fsync on, the product as its users start it (`commandapi
serve` with two worker processes), and each peer in a process of its own; runs product and peer in turn so that both
see the same machine; checks every import's counts; prints one table of ratios; and writes `bench/results/latest.json`
and, after a full run, `docs/benchmarks.md`.

    scale, targets      how much is measured, and what each row of the table must reach
    dataset             the bodies and the peers' files, made from real names
    database, product   what runs: PostgreSQL, and the product's processes
    connection, upload  the load generator: prepared bytes on a blocking socket, and sendfile in a process of its own
    memory, samples      peaks of processes; percentiles and ratios
    peers               `psql \\copy`, an ORM loop, django-import-export, Celery on Redis
    measures            one module for each group of rows
    report, document    the table, the JSON file, the page
"""
