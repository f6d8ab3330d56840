"""What the pages need of background jobs; `bulkport.jobs.BackgroundJobs` provides it."""

from typing import Protocol

from bulkport.jobs.control import Steering
from bulkport.jobs.inspect import Looking
from bulkport.jobs.recurring.recurring_jobs import RecurringJobs


class ManagedJobs(Steering, Looking, Protocol):
    """Background jobs to inspect and control."""

    recurring: RecurringJobs
