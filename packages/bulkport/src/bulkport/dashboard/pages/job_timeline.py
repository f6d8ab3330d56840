"""What happened to a job, step by step, as a person tells it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from bulkport.dashboard.core.formatting import duration
from bulkport.jobs.job import JobState
from bulkport.jobs.reading.details import JobChange, JobDetails, JobRun, RunOutcome

_RUNS: Final[dict[RunOutcome, tuple[str, str, str]]] = {
    RunOutcome.RUNNING: ("Running", "run", "play"),
    RunOutcome.SUCCEEDED: ("Succeeded", "ok", "check"),
    RunOutcome.FAILED: ("Failed", "bad", "cross"),
    RunOutcome.AGAIN: ("Asked to run again", "warn", "again"),
    RunOutcome.HANDED_BACK: ("Handed back", "warn", "again"),
    RunOutcome.LOST: ("Lost", "bad", "alert"),
    RunOutcome.CANCELLED: ("Cancelled", "", "minus"),
}
_TONES: Final = {
    JobState.SUCCEEDED: "ok",
    JobState.FAILED: "bad",
    JobState.RETRYING: "warn",
    JobState.PROCESSING: "run",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened."""

    at: datetime
    title: str
    tone: str
    """`ok`, `bad`, `warn`, `run` or none."""
    notes: Sequence[str]
    since_last: str
    """How long after the step before; empty for the first one."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A run of the job."""

    run: JobRun
    word: str
    tone: str
    icon: str
    error: str
    """Type and message; empty without one."""

    @property
    def took(self) -> str:
        """How long it took."""
        return duration(self.run.duration_seconds)


def steps_of(details: JobDetails) -> list[Step]:
    """The steps, latest first."""
    steps: list[Step] = []
    for entry in details.timeline:
        if entry.run is not None:
            at, title, tone, notes = _run_step(entry.run)
        elif entry.change is not None:
            at, title, tone, notes = _change_step(entry.change)
        else:
            at, title, tone, notes = entry.at, "Created", "", _creation_notes(details)
        since = f"+{duration(max(0.0, (at - steps[-1].at).total_seconds()))}" if steps else ""
        steps.append(Step(at, title, tone, notes, since))
    return steps[::-1]


def attempts_of(details: JobDetails) -> list[Attempt]:
    """The runs, latest first."""
    return [Attempt(run, *_RUNS[run.outcome], _error(run)) for run in reversed(details.runs)]


def _run_step(run: JobRun) -> tuple[datetime, str, str, list[str]]:
    word, tone, _ = _RUNS[run.outcome]
    notes = [f"run {run.run}" + (f" on {run.server}" if run.server else "")]
    if run.outcome is RunOutcome.LOST:
        notes.append("its server died or fell silent")
    if run.duration_seconds is not None:
        notes.append(f"took {duration(run.duration_seconds)}")
    if run.error_type is not None:
        notes.append(_error(run))
    at = run.ended_at or run.started_at
    assert at is not None, "a run that has not ended has begun"
    return at, word, tone, notes


def _change_step(change: JobChange) -> tuple[datetime, str, str, list[str]]:
    by = [f"by {change.actor}"] if change.actor else []
    return change.at, change.state.value.capitalize(), _TONES.get(change.state, ""), [change.reason, *by]


def _creation_notes(details: JobDetails) -> list[str]:
    job = details.job
    notes = [f"in queue {job.queue}"]
    if job.user_id is not None:
        notes.append(f"for {job.user_id}")
    if job.recurring_id is not None:
        notes.append(f"by the recurring job {job.recurring_id}")
    if job.origin_id is not None:
        notes.append(f"repeats job {job.origin_id}")
    return notes


def _error(run: JobRun) -> str:
    return ": ".join(part for part in (run.error_type, run.error) if part)[:500]
