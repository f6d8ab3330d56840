"""Background jobs in four systems, each running the same work through `python -m bench.peers.jobs`.

`bulkport_jobs` is the product. `bare` is Procrastinate alone, `pgqueuer_jobs` PgQueuer, `celery_jobs` Celery on Redis,
each as its own documentation starts a worker.
"""
