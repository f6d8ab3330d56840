"""Procrastinate's logging, cut down to what this package does not say itself."""

import logging

_SAID_HERE = frozenset({"job_error", "job_error_retry", "job_aborted", "job_aborted_retry", "task_not_found"})


def _is_news(record: logging.LogRecord) -> bool:
    return getattr(record, "action", None) not in _SAID_HERE


def quieten_procrastinate() -> None:
    """Drop Procrastinate's line for each step of each job. May be called again."""
    logging.getLogger("procrastinate").setLevel(logging.WARNING)
    logging.getLogger("procrastinate.worker").addFilter(_is_news)
