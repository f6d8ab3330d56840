"""What is asked about background jobs, and what the answers are made of.

- `query.py`: which jobs, in which order; a page of them.
- `details.py`: one job with all that is kept of it.
- `metrics.py`: counts, time series, percentiles, queues and servers.
"""
