"""Why a run should end before its time: what `JobContext.check` raises."""

from bulkport.jobs.retry import RetryLater


class JobCancelled(Exception):
    """Somebody cancelled this job while it runs; let it pass, and the job ends as cancelled."""


class StopRequested(RetryLater):
    """The worker is shutting down; let it pass, and the job goes back to its queue without a failed attempt.

    Another worker starts it again at once, with the last checkpoint that it saved.
    """
