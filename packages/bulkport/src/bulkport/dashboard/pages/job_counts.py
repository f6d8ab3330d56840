"""The job counts in the navigation."""

from bulkport.dashboard.core.page import Counts, CountsSource
from bulkport.jobs.inspect import InspectCalls
from bulkport.jobs.job import JobState


def job_counts(jobs: InspectCalls) -> CountsSource:
    """Counts by job state (`failed`, …), and of `jobs` (those that have not ended), `servers` and `recurring`."""

    async def read() -> Counts:
        numbers = await jobs.statistics()
        unfinished = sum(count for state, count in numbers.states.items() if not state.is_final)
        by_state = {state.value: numbers.states[state] for state in JobState}
        return Counts({**by_state, "jobs": unfinished, "servers": numbers.servers, "recurring": numbers.recurring})

    return read
