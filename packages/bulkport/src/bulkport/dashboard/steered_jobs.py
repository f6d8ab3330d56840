"""What the pages about jobs ask of an application: `bulkport.jobs.BackgroundJobs` has it."""

from typing import Protocol

from bulkport.jobs.control import Steering
from bulkport.jobs.inspect import Looking
from bulkport.jobs.recurring.recurring_jobs import RecurringJobs


class SteeredJobs(Steering, Looking, Protocol):
    """Background jobs to be looked at and steered."""

    recurring: RecurringJobs
