"""Shows recent jobs as dots coloured by state."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bulkport.dashboard.core.formatting import exact
from bulkport.dashboard.core.language import t
from bulkport.jobs.job import JobState
from bulkport.jobs.port.details import JobSummary

TONES: Final[Mapping[JobState, str]] = {
    JobState.SUCCEEDED: "ok",
    JobState.FAILED: "bad",
    JobState.RETRYING: "warn",
    JobState.PROCESSING: "run",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """A job as a dot."""

    job: JobSummary
    tone: str
    label: str

    @classmethod
    def of(cls, job: JobSummary) -> "Outcome":
        """The dot of a job."""
        label = t("job {job}: {state}, {when}", job=job.id, state=t(job.state.value), when=exact(job.created_at))
        return cls(job, TONES.get(job.state, ""), label)
