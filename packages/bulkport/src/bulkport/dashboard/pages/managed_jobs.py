"""What the pages need of background jobs; `bulkport.jobs.BackgroundJobs` provides it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from bulkport.identifiers import BackgroundJobId
from bulkport.jobs.control import ControlCalls
from bulkport.jobs.inspect import InspectCalls
from bulkport.jobs.recurring import RecurringJobs
from bulkport.jobs.task import JobCall, Task


class ManagedJobs(ControlCalls, InspectCalls, Protocol):
    """Background jobs to inspect and control."""

    recurring: RecurringJobs

    @property
    def tasks(self) -> Mapping[str, Task[..., Any]]:
        """The tasks that are declared in this process, by name."""
        ...

    async def enqueue(self, call: JobCall, /) -> BackgroundJobId:
        """Have a call carried out as soon as a worker is free."""
        ...

    async def schedule(self, call: JobCall, /, *, at: datetime) -> BackgroundJobId:
        """Have a call carried out at a time."""
        ...
