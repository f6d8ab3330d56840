"""What the pages about jobs ask of an application: `bulkport.background.BackgroundJobs` has it."""

from typing import Protocol

from bulkport.background.looking import Looking
from bulkport.background.recurring.recurring_jobs import RecurringJobs
from bulkport.background.steering import Steering


class SteeredJobs(Steering, Looking, Protocol):
    """Background jobs to be looked at and steered."""

    recurring: RecurringJobs
