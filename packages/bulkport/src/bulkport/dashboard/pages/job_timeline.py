"""The history of a job, step by step, and its attempts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from bulkport.dashboard.core.formatting import duration
from bulkport.dashboard.core.language import t
from bulkport.dashboard.pages.tracebacks import Traceback, read_traceback
from bulkport.jobs.job import JobState
from bulkport.jobs.port.details import JobChange, JobDetails, JobRun, RunOutcome

_RUNS: Final[dict[RunOutcome, tuple[str, str, str]]] = {
    RunOutcome.RUNNING: ("Running", "run", "play"),
    RunOutcome.SUCCEEDED: ("Succeeded", "ok", "check"),
    RunOutcome.FAILED: ("Failed", "bad", "cross"),
    RunOutcome.AGAIN: ("Re-run requested", "warn", "again"),
    RunOutcome.HANDED_BACK: ("Returned to queue", "warn", "again"),
    RunOutcome.LOST: ("Worker lost", "bad", "alert"),
    RunOutcome.CANCELLED: ("Cancelled", "", "minus"),
}
_STATES: Final = {
    JobState.ENQUEUED: ("Enqueued", ""),
    JobState.SCHEDULED: ("Scheduled", ""),
    JobState.PROCESSING: ("Running", "run"),
    JobState.SUCCEEDED: ("Succeeded", "ok"),
    JobState.FAILED: ("Failed", "bad"),
    JobState.AWAITING: ("Awaiting", ""),
    JobState.RETRYING: ("Retrying", "warn"),
    JobState.CANCELLED: ("Cancelled", ""),
}
_REASONS: Final = {"its time came": "scheduled time reached"}
_RETRIED: Final = "retry due"
_MAX_ERROR_CHARACTERS: Final = 500


@dataclass(frozen=True, slots=True)
class Step:
    """One event."""

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
    traceback: Traceback | None
    is_retry_due: bool
    """Whether the attempt after it is still to come."""

    @property
    def took(self) -> str:
        """How long it took."""
        return duration(self.run.duration_seconds)


def state_word(state: JobState) -> str:
    """The name of a state on the pages, such as `Running`."""
    return t(_STATES[state][0])


def steps_of(details: JobDetails) -> list[Step]:
    """The steps, latest first."""
    steps: list[Step] = []
    for entry in details.timeline:
        if entry.run is not None:
            at, title, tone, notes = _run_step(entry.run, entry.at)
        elif entry.change is not None:
            at, title, tone, notes = _change_step(entry.change)
            if entry.change.reason in _REASONS and steps and steps[-1].tone == "bad":
                notes = [t(_RETRIED), *notes[1:]]
        else:
            at, title, tone, notes = entry.at, t("Created"), "", _creation_notes(details)
        since = f"+{duration(max(0.0, (at - steps[-1].at).total_seconds()))}" if steps else ""
        steps.append(Step(at, title, tone, notes, since))
    return steps[::-1]


def attempts_of(details: JobDetails) -> list[Attempt]:
    """The attempts, latest first."""
    now = datetime.now(UTC)
    is_waiting = details.job.state is JobState.RETRYING
    last = details.runs[-1].run if details.runs else None
    return [
        Attempt(
            run,
            t(_RUNS[run.outcome][0]),
            *_RUNS[run.outcome][1:],
            _error(run),
            read_traceback(run.traceback) if run.traceback else None,
            is_waiting and run.run == last and run.retry_at is not None and run.retry_at > now,
        )
        for run in reversed(details.runs)
    ]


def _run_step(run: JobRun, at: datetime) -> tuple[datetime, str, str, list[str]]:
    word, tone, _ = _RUNS[run.outcome]
    attempt = t("attempt {number}", number=run.run)
    notes = [t("{attempt} on {server}", attempt=attempt, server=run.server) if run.server else attempt]
    if run.outcome is RunOutcome.LOST:
        notes.append(t("its server crashed or stopped responding"))
    if run.duration_seconds is not None:
        notes.append(t("ran for {time}", time=duration(run.duration_seconds)))
    if run.error_type is not None:
        notes.append(_error(run))
    return run.ended_at or run.started_at or at, t(word), tone, notes


def _change_step(change: JobChange) -> tuple[datetime, str, str, list[str]]:
    word, tone = _STATES[change.state]
    by = [t("by {user}", user=change.actor)] if change.actor else []
    return change.at, t(word), tone, [t(_REASONS.get(change.reason, change.reason)), *by]


def _creation_notes(details: JobDetails) -> list[str]:
    job = details.job
    notes = [t("in queue {queue}", queue=job.queue)]
    if job.user_id is not None:
        notes.append(t("for {user}", user=job.user_id))
    if job.recurring_id is not None:
        notes.append(t("by recurring job {job}", job=job.recurring_id))
    if job.origin_id is not None:
        notes.append(t("copy of job {job}", job=job.origin_id))
    return notes


def _error(run: JobRun) -> str:
    return ": ".join(part for part in (run.error_type, run.error) if part)[:_MAX_ERROR_CHARACTERS]
